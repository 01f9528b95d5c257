"""The ranking model as it is released, and how its scores become answers."""
