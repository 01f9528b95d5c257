"""The code around the routes, which handles each request and answer: limits, authentication, errors, logs and metrics."""
