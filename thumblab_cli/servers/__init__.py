"""Start, watch and stop the servers of the lab."""
