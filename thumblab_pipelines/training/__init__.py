"""Train the ranking model on cached vectors."""
