"""Convert the values that the service caches to bytes and back, so that all workers can share them.

Each function `_unpack_...` checks the bytes that it reads. Bytes that are not a valid value count as missing.
"""

import struct
import zlib
from functools import cache

import numpy as np
from pydantic import TypeAdapter

from thumblab_core.encoders.protocol import Vectors, usable
from thumblab_core.images.perceptual import Appearance
from thumblab_core.sub_scores.picture_measurement import PictureMeasurement
from thumblab_serving.loading.sent_picture import PictureFacts
from thumblab_serving.workers.shared_cache import SharedCache, SharedValues

_FACTS = struct.Struct("<IIBq")
_COLOURS = (18, 32, 3)
_LONGEST_LOOK = 256 * 1024
"""Maximum number of bytes of a measurement as JSON."""


def shared_vectors(shared: SharedCache | None, kind: str) -> SharedValues[Vectors] | None:
    """Return the store that all workers share for unit vectors, or None if there is only one worker."""
    return None if shared is None else SharedValues(shared, kind, _pack_vector, _unpack_vector)


def shared_looks(shared: SharedCache | None) -> SharedValues[PictureMeasurement] | None:
    """Return the store that all workers share for measurements of pictures, or None if there is only one worker."""
    return None if shared is None else SharedValues(shared, "look", _pack_look, _unpack_look)


def shared_facts(shared: SharedCache | None) -> SharedValues[PictureFacts] | None:
    """Return the store that all workers share for facts about pictures, or None if there is only one worker."""
    return None if shared is None else SharedValues(shared, "facts", _pack_facts, _unpack_facts)


def _pack_vector(vector: Vectors) -> bytes:
    return vector.astype("<f4").tobytes()


def _unpack_vector(stored: bytes) -> Vectors | None:
    vector: Vectors = np.frombuffer(stored, "<f4").astype(np.float32)
    return vector if len(vector) and usable(vector) else None


def _pack_look(look: PictureMeasurement) -> bytes:
    return zlib.compress(_looks().dump_json(look), 1)


def _unpack_look(stored: bytes) -> PictureMeasurement | None:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(stored, _LONGEST_LOOK)
    except zlib.error:
        return None
    return _looks().validate_json(text) if unpacking.eof else None


@cache
def _looks() -> TypeAdapter[PictureMeasurement]:
    return TypeAdapter(PictureMeasurement)


def _pack_facts(facts: PictureFacts) -> bytes:
    look = facts.appearance
    head = _FACTS.pack(facts.width, facts.height, facts.animated, look.perceptual_hash)
    return head + look.colours.astype("<i2").tobytes()


def _unpack_facts(stored: bytes) -> PictureFacts | None:
    if len(stored) != _FACTS.size + 2 * int(np.prod(_COLOURS)):
        return None
    width, height, animated, perceptual_hash = _FACTS.unpack_from(stored)
    colours = np.frombuffer(stored, "<i2", offset=_FACTS.size).astype(np.int16).reshape(_COLOURS)
    return PictureFacts(width, height, bool(animated), Appearance(perceptual_hash, colours))
