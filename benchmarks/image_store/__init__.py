"""Measure how the latency of an object store slows down the encoding of pictures."""
