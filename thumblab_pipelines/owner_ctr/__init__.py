"""Import the true click-through rates of a channel's videos. YouTube shows them only to the channel's owner."""
