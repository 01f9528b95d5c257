"""Encoders, which turn pictures and titles into unit vectors."""
