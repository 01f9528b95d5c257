"""Read the picture of a variant of an experiment."""

from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.images import ImageError, Picture, decode
from thumblab_pipelines.collection.catalogue import read_picture


def read_variant(path: Path, name: str) -> tuple[bytes, Picture]:
    """Return the bytes and the decoded picture of a file.

    Raises `LabError` if the file cannot be read or decoded. The message begins with `name`.
    """
    try:
        data = read_picture(path)
        return data, decode(data)
    except ImageError as error:
        raise LabError(f"{name}: {error}") from None
    except OSError as error:
        raise LabError(f"{name} cannot be read ({error.strerror}); check the name and your permissions") from None
    except Exception as error:  # noqa: BLE001  A decoder may raise any error on hostile bytes.
        raise LabError(f"{name} cannot be decoded ({type(error).__name__}); save it again as a JPEG") from None
