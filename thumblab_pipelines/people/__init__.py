"""People in thumbnails: find, group, name and learn."""
