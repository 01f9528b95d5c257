"""One asset per module."""
