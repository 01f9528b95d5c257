"""Find the rights of the API key in a request, and limit how many requests the key may send."""
