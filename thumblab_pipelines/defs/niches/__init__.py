"""The sensor that follows the table of niches."""
