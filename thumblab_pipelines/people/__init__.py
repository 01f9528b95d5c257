"""Find the people in thumbnails, group their faces, and learn from the names that users give to the groups."""
