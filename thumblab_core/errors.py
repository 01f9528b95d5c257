"""The one error that a person is meant to read."""


class LabError(Exception):
    """Something the user can act on: the message is one sentence of what is wrong and one of what to do next."""

    transient = False
    """Whether doing the same again later may work."""
