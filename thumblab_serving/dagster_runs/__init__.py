"""Start and follow runs of the lab's Dagster over its GraphQL interface. This package does not import Dagster."""
