"""Benchmarks that compare the lab with its alternatives. What is compared is measured in the same run. Run `make
bench`."""
