"""Define the assets, the jobs and the schedules of the library maps."""
