"""Immutable, versioned folders of artifacts, and which of them is served."""
