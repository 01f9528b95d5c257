"""The errors of a message that could not be delivered."""

from thumblab_core.errors import LabError


class UndeliveredError(LabError):
    """The error that is raised if a channel did not take a message. The message says what the channel answered."""

    transient = True


class RefusedMessageError(UndeliveredError):
    """The error that is raised if a channel takes this message never, but perhaps others."""

    transient = False
