"""Compare the scoring service with the obvious FastAPI handler, and with the bare work that an answer needs."""
