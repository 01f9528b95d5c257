"""Examine a lab without changing it: what is wrong, and which command mends it."""
