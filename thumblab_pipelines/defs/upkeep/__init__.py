"""The assets that keep collected data fresh and within YouTube's policies, and their jobs."""
