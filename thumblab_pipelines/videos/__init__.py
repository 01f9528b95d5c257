"""Store videos and channels in the database, record which thumbnails and titles videos show, and delete videos."""
