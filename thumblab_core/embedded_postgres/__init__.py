"""Run PostgreSQL for a lab that has no server of its own."""
