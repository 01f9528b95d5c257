"""Define Dagster's assets, asset checks, jobs, schedules and sensors. Each subject has a folder."""
