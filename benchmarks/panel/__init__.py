"""The title panel, and the models of titles that its benchmarks compare."""
