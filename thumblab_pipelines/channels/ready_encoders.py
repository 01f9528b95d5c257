"""Load the encoders that a channel needs. This is done before slow work begins, such as downloads."""

from thumblab_core.encoders.load import image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.releases.place import release_place
from thumblab_pipelines.channels.adapter import served_model
from thumblab_pipelines.channels.adapter_videos import image_name
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress


class EncoderMissingError(LabError):
    """Raised if an encoder cannot be loaded, so that no picture or title of the channel could be encoded."""


def load_encoders(lab: Lab, progress: Progress) -> None:
    """Load the encoders of the served model. If no model is served, load the encoders that the settings choose. The
    process keeps the encoders.

    Nothing is loaded if the lab encodes on a Ray cluster. Raises `EncoderMissingError` if an encoder cannot be loaded.
    Transient errors and `OSError` are raised unchanged, so that the caller can try again.
    """
    if lab.settings.ray_address:
        return
    progress("loading the encoders", 0, 1)
    try:
        name = image_name(lab, served_model(lab))
    except NoServedModelError:
        name = image_encoder_name(lab.settings)
    try:
        # Reading these properties loads the models.
        _ = named_image_encoder(name, release_place(lab.settings)).decode_size
        _ = title_encoder(lab.settings.title_encoder).dimension
    except LabError as error:
        if error.transient:  # The encoder is there, but could not be read this time.
            raise
        raise EncoderMissingError(str(error)) from error
    progress("loading the encoders", 1, 1)
