"""Tell a person what fails: one message per cause, sent to a chat and by e-mail, and a summary every day."""
