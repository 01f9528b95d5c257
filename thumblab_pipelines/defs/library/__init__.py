"""The library of a niche: assets, jobs, schedules and sensors."""
