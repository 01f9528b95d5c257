"""The error whose message is for the user."""


class LabError(Exception):
    """An error that the user can act on. The message says what is wrong, and what to do next."""

    transient = False
    """Whether the same action may succeed later."""
