"""Training pairs, the ranking model and the served model."""
