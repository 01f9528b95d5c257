"""The `thumblab report` commands."""
