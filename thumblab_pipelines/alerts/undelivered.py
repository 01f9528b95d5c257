"""The errors that are raised when a message could not be delivered."""

from thumblab_core.errors import LabError


class UndeliveredError(LabError):
    """Raised if an alert channel did not accept a message. The text gives the channel's answer."""

    transient = True


class RefusedMessageError(UndeliveredError):
    """Raised if an alert channel will never accept this message. The channel may accept other messages."""

    transient = False
