"""The error of a message that could not be delivered."""

from thumblab_core.errors import LabError


class UndeliveredError(LabError):
    """The error that is raised if a channel did not take a message. The message says what the channel answered."""

    transient = True
