"""Examine a lab without changing it. Report what is wrong, and which command repairs it."""
