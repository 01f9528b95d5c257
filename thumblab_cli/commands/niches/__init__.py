"""The subcommands that list and change the niches of the lab."""
