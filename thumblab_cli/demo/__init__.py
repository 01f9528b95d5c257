"""The demo: its own lab, and its steps."""
