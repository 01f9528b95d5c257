"""Send alerts about failures to a chat and by e-mail, one message per cause, and send a summary of every day."""
