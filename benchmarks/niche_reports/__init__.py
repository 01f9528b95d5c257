"""Measure the niche report on planted niches: synthetic videos whose views contain known effects."""
