"""Start, supervise and stop the servers of the lab."""
