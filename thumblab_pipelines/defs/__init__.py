"""Dagster definitions: thin shells over steps."""
