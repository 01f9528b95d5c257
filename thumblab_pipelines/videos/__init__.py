"""The videos and channels in the database: their records, names, thumbnail versions and deletion."""
