"""Run an embedded PostgreSQL server for a lab whose settings name no external server."""
