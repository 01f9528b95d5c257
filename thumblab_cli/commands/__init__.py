"""The subcommands of `thumblab`, a module each."""
