"""Keep what was collected fresh and within the policy."""
