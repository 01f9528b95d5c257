"""The subcommands of `thumblab people`."""
