"""The subcommands of `thumblab`. Each subcommand has its own module."""
