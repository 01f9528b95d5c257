"""Evaluate ranking models on held-out pairs of the lab's own videos or of another catalogue."""
