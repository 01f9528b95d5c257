"""Load what the service needs and keep it in memory: encoders, models, indices, channel adapters and meters."""
