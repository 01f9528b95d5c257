"""Dagster definitions, a folder per domain: assets, checks, jobs, schedules and sensors."""
