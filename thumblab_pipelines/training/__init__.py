"""Train the ranking model on the stored vectors of pictures and titles."""
