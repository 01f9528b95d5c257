"""The thumblab command."""
