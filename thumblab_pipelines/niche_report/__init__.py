"""Report how the winners of a niche differ from other videos of the same channels."""
