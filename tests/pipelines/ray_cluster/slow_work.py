"""Work that the tests give to a cluster. The work writes a line to a file when a block begins and when a block ends.

The worker processes import this module.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.stream import EncodedBatch
from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageFolder
from thumblab_core.settings import settings
from thumblab_pipelines.features.encoding_work import PictureEncoding, Source
from thumblab_pipelines.lab import Lab

BUILTIN = BuiltinEncoder()


def note(log: Path, event: str, block: object) -> None:
    """Append a line to the log.

    One call writes one short line, so the lines of several processes do not mix.
    """
    with log.open("a") as file:
        file.write(f"{event} {os.getpid()} {block}\n")


def noted(log: Path, event: str) -> list[tuple[int, str]]:
    """Return, for each log line about `event`, the process id and the first number of the block."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(process), block) for kind, process, block in lines if kind == event]


@dataclass
class Doubling:
    """Work that doubles numbers, and takes `seconds` for each block. A negative number raises an error."""

    log: Path
    seconds: float = 0.0

    def __call__(self, numbers: Iterable[int]) -> Iterator[int]:
        block = list(numbers)
        note(self.log, "begin", block[0])
        time.sleep(self.seconds)
        if min(block) < 0:
            raise LabError(f"{min(block)} cannot be doubled; use a positive number")
        note(self.log, "end", block[0])
        return iter([2 * number for number in block])


@dataclass
class Ending:
    """Work that ends the worker process at each number that is divisible by 5."""

    log: Path

    def __call__(self, numbers: Iterable[int]) -> Iterator[int]:
        block = list(numbers)
        note(self.log, "begin", block[0])
        if any(number % 5 == 0 for number in block):
            os._exit(1)
        return iter(block)


@dataclass
class SlowEncoding(PictureEncoding):
    """The encoding of pictures by the built-in encoder. Each block of pictures takes at least `seconds`."""

    log: Path = Path()
    seconds: float = 1.0

    def __call__(self, sources: Iterable[Source]) -> Iterator[EncodedBatch[Source]]:
        block = list(sources)
        note(self.log, "begin", block[0].video_id)
        time.sleep(self.seconds)
        yield from super().__call__(block)
        note(self.log, "end", block[0].video_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _slow_encoding, (self.releases, self.images, self.log, self.seconds)


def _slow_encoding(releases: Path, images: ImageFolder, log: Path, seconds: float) -> SlowEncoding:
    return SlowEncoding(BUILTIN, "builtin", releases, images, log, seconds)


def encode_slowly(lab: Lab, niche: str, log: Path, on_progress: Any = None) -> int:
    """Encode the pictures of the niche that have no vector yet, in blocks of 2. Return the number of encoded pictures."""
    from thumblab_pipelines.features import embed, encoding
    from thumblab_pipelines.ray_cluster import computed

    computed._BLOCK, encoding._SAVED_AT_ONCE = 2, 1
    missing = embed._pictures(lab, niche).missing
    work = SlowEncoding(BUILTIN, "builtin", lab.settings.releases, lab.images, log)
    return encoding.encode_pictures(lab, work, missing, on_progress or (lambda *_: None), niche).count


if __name__ == "__main__":
    print(encode_slowly(Lab.existing(settings()), sys.argv[1], Path(sys.argv[2])))
