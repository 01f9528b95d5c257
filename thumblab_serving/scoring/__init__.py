"""Make the answer to a request: read and examine its pictures, rank them, and compare them with the niche's library."""
