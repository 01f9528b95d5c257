"""Make the answer of a request: read and examine its pictures, rank them, and place them in the niche."""
