"""The ranking model as it is released, and what turns its scores into answers."""
