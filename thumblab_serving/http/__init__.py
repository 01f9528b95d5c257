"""The layers that handle a request before and after its route: limits, authentication, errors and metrics."""
