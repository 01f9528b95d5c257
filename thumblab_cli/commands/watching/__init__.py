"""Commands that report the state of the lab, list and close alerts, and test the alert channels."""
