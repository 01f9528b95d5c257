"""Benchmarks of the lab beside its alternatives, each pair measured in the same run: `make bench`."""
