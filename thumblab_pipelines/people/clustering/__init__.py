"""Group faces into people. The functions take arrays of face vectors, and need no database and no pictures."""
