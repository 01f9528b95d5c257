"""Whose key a request carries, and how many requests it may send."""
