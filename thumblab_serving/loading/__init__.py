"""What the service keeps loaded: encoders, models, indices, channel adapters."""
