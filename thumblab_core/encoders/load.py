"""From the name in the settings to the encoder; one of each per process."""

from functools import lru_cache
from typing import cast

from thumblab_core.encoders.protocol import ImageEncoder, TextEncoder
from thumblab_core.errors import LabError


@lru_cache(maxsize=2)
def image_encoder(name: str) -> ImageEncoder:
    """`builtin`, or `open_clip:MODEL/WEIGHTS`. Raises `LabError` when it is neither or cannot be loaded."""
    if name == "builtin":
        from thumblab_core.encoders.builtin import BuiltinEncoder

        return BuiltinEncoder()
    kind, _, rest = name.partition(":")
    model, _, weights = rest.partition("/")
    if kind == "open_clip" and model and weights:
        from thumblab_core.encoders.open_clip import OpenClipEncoder

        return cast(ImageEncoder, OpenClipEncoder(model, weights))
    raise LabError(f"no image encoder is called {name!r}; THUMBLAB_IMAGE_ENCODER is builtin or open_clip:MODEL/WEIGHTS")


@lru_cache(maxsize=2)
def title_encoder(name: str) -> TextEncoder:
    """`minilm`, or a path or hub name for sentence-transformers. Raises `LabError` when it cannot be loaded."""
    from thumblab_core.encoders.minilm import SentenceEncoder

    return SentenceEncoder(name)
