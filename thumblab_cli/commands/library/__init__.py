"""The subcommands that search, show and change the libraries of the niches."""
