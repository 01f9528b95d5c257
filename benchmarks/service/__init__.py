"""Compare the scoring service with a plain FastAPI handler, and with the same work without a server."""
