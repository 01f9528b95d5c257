"""Define the sensor that watches the runs and tells a person of failures, and the daily summary."""
