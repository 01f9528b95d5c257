"""Dagster: the assets that keep the library and the model fresh."""
