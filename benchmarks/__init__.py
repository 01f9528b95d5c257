"""Benchmarks that compare the lab with other programs and methods. Each run measures all sides of its comparison.
`make bench` runs some of them."""
