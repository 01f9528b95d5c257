"""Run an embedded PostgreSQL server for a lab that names no external one."""
