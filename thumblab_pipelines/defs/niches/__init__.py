"""Define the sensor that keeps Dagster's partitions equal to the table of niches."""
