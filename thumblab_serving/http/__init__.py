"""The code around the routes, for all requests and answers: limits, authentication, errors, logs and metrics."""
