"""Benchmarks that compare the lab with its alternatives. Each comparison is measured in one run. Run `make bench`."""
