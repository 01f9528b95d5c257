"""Define the assets, jobs, schedules and sensors that build training pairs, and train and serve the ranking model."""
