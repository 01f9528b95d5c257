"""Define Dagster's assets, asset checks, jobs, schedules and sensors. Each group of assets has its own folder."""
