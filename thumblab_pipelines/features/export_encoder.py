"""Export the image encoder of the settings, so that a service without PyTorch can run it."""

from thumblab_core.encoders.load import image_encoder
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent


def export_encoder(lab: Lab, progress: Progress = silent) -> str | None:
    """Publish the parts of the image encoder that a service without PyTorch needs, unless they are already published.

    An encoder that works without PyTorch is not exported. If the export fails, return the reason instead of raising an
    error, because a service with PyTorch still works.
    """
    from thumblab_core.encoders.open_clip import OpenClipEncoder

    encoder = image_encoder(lab.settings)
    if not isinstance(encoder, OpenClipEncoder):
        return None
    progress("exporting the image encoder", 0, 1)
    try:
        encoder.export(lab.releases)
    except LabError as error:
        return str(error)
    progress("exporting the image encoder", 1, 1)
    return None
