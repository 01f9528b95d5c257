"""Report what the winners of a niche do that other videos of the same channels do not."""
