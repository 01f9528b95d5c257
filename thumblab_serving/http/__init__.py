"""The layers that a request passes before and after its route: limits, authentication, errors and metrics."""
