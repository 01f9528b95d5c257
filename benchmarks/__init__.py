"""Benchmarks that compare the lab with other programs and methods.

Each benchmark measures all programs that it compares in the same run. `make bench` runs some of the benchmarks.
"""
