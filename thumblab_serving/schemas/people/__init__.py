"""The requests and answers below `/api/v1/faces`."""
