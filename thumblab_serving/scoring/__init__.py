"""The way from a request to its answer: read and examine the pictures, rank them, place them in the niche."""
