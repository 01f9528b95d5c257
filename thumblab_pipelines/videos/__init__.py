"""What the database holds about videos and channels: records, names, thumbnail versions, deletion."""
