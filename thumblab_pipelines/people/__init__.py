"""Find the people in thumbnails, group their faces, and learn from the names that persons give them."""
