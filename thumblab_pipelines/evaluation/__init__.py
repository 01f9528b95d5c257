"""Evaluate the ranking model on held-out pairs and on other catalogues."""
