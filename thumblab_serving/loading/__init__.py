"""Load encoders, models, indices, channel adapters and meters, and keep them in memory."""
