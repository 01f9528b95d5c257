"""Benchmarks that compare the lab with other programs and methods.

A benchmark measures all programs that it compares in one run. `make bench` runs some of the benchmarks.
"""
