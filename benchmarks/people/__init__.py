"""Measure how faces are grouped into people."""
