"""Draw small pictures for the metadata of assets. Dagster's page shows them as Markdown images."""
