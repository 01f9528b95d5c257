"""The subcommands of `thumblab`. Each of them has a module of its own."""
