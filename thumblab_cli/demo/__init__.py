"""The demo: its own laboratory, and its steps."""
