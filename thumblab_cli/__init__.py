"""The `thumblab` command."""
