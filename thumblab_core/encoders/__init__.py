"""Pictures and titles in, unit vectors out."""
