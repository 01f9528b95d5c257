"""Benchmarks that compare the lab with other programs and methods.

In one run, a benchmark measures all programs that it compares. `make bench` runs some of the benchmarks.
"""
