"""Define the assets, jobs, schedules and sensors of the libraries. Each niche has a library."""
