"""Train the ranking model and its channel adapters on the stored vectors of pictures and titles."""
