"""Find the API key that a request carries, and limit how many requests the key may send."""
