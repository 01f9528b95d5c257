"""The code that imports the true click-through rates of a channel's videos, which YouTube shows only to the owner."""
