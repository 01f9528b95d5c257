"""Measure the niche report on planted niches."""
