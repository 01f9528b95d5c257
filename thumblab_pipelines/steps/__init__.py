"""The work of each asset as plain functions, without Dagster."""
