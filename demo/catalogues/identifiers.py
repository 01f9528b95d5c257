"""Make ids in YouTube's format, and decode them. An id encodes a number with a keyed permutation of 64 bits, so no
table of ids is needed."""

import base64
import hashlib
import struct

_BITS = (1 << 64) - 1
_ROUNDS = 3


class Permutation:
    """A pseudorandom bijection of the numbers below 2^64. Each key gives a different bijection.

    Each round of the permutation has three steps that can be inverted. The first step combines the high half with the
    low half by exclusive or, which is its own inverse. The second multiplies by an odd number, which has an inverse
    modulo 2^64. The third combines the product with a mask by exclusive or.
    """

    def __init__(self, key: str) -> None:
        seeds = struct.unpack(f"<{2 * _ROUNDS}Q", hashlib.blake2b(key.encode(), digest_size=16 * _ROUNDS).digest())
        self._rounds = [(factor | 1, mask) for factor, mask in zip(seeds[::2], seeds[1::2], strict=True)]
        self._inverse_rounds = [(pow(factor, -1, 1 << 64), mask) for factor, mask in reversed(self._rounds)]

    def forward(self, number: int) -> int:
        """Return the number to which the bijection maps `number`."""
        for factor, mask in self._rounds:
            number ^= number >> 32
            number = (number * factor & _BITS) ^ mask
        return number ^ number >> 32

    def backward(self, number: int) -> int:
        """Invert `forward`."""
        number ^= number >> 32
        for factor, mask in self._inverse_rounds:
            number = (number ^ mask) * factor & _BITS
            number ^= number >> 32
        return number


class VideoIds:
    """The video ids of a catalogue. An id has 11 URL-safe characters and encodes the number of a video."""

    def __init__(self, seed: int) -> None:
        self._permutation = Permutation(f"video:{seed}")

    def of(self, index: int) -> str:
        """Return the id that encodes a number."""
        return base64.urlsafe_b64encode(struct.pack(">Q", self._permutation.forward(index))).decode()[:11]

    def index(self, video_id: str) -> int | None:
        """Return the number that an id encodes, or None if the id is not valid.

        Nearly every text in the right format encodes a number, so a video with this number may not exist.
        """
        raw = _decoded(video_id, 11)
        if raw is None:
            return None
        index = self._permutation.backward(int.from_bytes(raw, "big"))
        return index if self.of(index) == video_id else None  # In a valid id, the unused bits at the end are 0.


class ChannelIds:
    """The channel ids of a catalogue. An id is `UC` and 22 URL-safe characters that encode the number of a channel."""

    def __init__(self, seed: int) -> None:
        self._halves = Permutation(f"channel a:{seed}"), Permutation(f"channel b:{seed}")

    def of(self, index: int) -> str:
        """Return the id that encodes a number."""
        raw = struct.pack(">2Q", *(half.forward(index) for half in self._halves))
        return "UC" + base64.urlsafe_b64encode(raw).decode()[:22]

    def index(self, channel_id: str) -> int | None:
        """Return the number that an id encodes, or None if the id is not valid."""
        raw = _decoded(channel_id[2:], 22)
        if raw is None:
            return None
        index = self._halves[0].backward(int.from_bytes(raw[:8], "big"))
        return index if self.of(index) == channel_id else None


def _decoded(text: str, length: int) -> bytes | None:
    if len(text) != length or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        return None
    return base64.urlsafe_b64decode(text + "=" * (-length % 4))
