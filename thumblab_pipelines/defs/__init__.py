"""Dagster definitions: assets, checks, jobs, schedules and sensors, in a folder per domain."""
