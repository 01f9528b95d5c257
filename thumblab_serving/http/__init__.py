"""What a request passes through before and after its route: limits, authentication, errors, metrics."""
