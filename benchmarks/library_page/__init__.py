"""Measure the page of the library in a browser."""
