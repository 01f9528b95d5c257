"""Commands that say how the lab does, and that try the channels of alerts."""
