"""Refresh or delete what YouTube's policy allows to keep no longer."""
