"""What a request passes before and after its route: limits, authentication, errors, metrics."""
