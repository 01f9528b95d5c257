"""Import the true click-through rates of a channel's videos. YouTube shows these rates only to the channel's owner."""
