"""Define the sensor that reports failures to a person, and the job and schedule of the daily summary."""
