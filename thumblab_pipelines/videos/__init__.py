"""Videos and channels in the database: records, names, thumbnail versions and deletion."""
