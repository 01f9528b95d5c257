"""Define the sensor that keeps the list of Dagster's partitions equal to the list of niches."""
