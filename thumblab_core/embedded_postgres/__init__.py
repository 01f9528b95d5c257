"""Run an embedded PostgreSQL server for a lab whose settings do not name an external server."""
