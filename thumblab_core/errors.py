"""Errors whose messages are for the user."""

from pathlib import Path


class LabError(Exception):
    """An error for the user. The message says what is wrong, and what to do next."""

    transient = False
    """Whether the same action may succeed later, although the user changes nothing."""


class NoServedModelError(LabError):
    """The lab in `data_dir` serves no ranking model. The error names the folder, because a lab in another folder may
    serve a model.
    """

    def __init__(self, message: str, data_dir: Path) -> None:
        super().__init__(message)
        self.data_dir = data_dir


class UnknownChannelError(LabError):
    """The lab knows no channel of this name."""
