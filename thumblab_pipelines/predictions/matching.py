"""Find, in a prediction, the candidate that shows the same picture as a variant or a video."""

from collections.abc import Sequence
from dataclasses import dataclass

from thumblab_core.images.perceptual import NEAR, distance
from thumblab_core.predictions import KeptCandidate


@dataclass(frozen=True)
class ShownPicture:
    """A picture that was shown to viewers. `phash`: the perceptual hash of the picture, or None if it is not known."""

    sha256: str
    phash: int | None


def matching_candidate(candidates: Sequence[KeptCandidate], picture: ShownPicture) -> KeptCandidate | None:
    """Return the only candidate that shows the picture. Return None if no candidate shows the picture, or if several
    candidates show it.

    A candidate shows the picture if both are the same file, or if their perceptual hashes differ in at most `NEAR`
    bits. The files may differ because YouTube encodes every uploaded picture again.

    Two candidates whose perceptual hashes differ in at most `NEAR` bits are never returned. The answer may have divided
    one win probability between these two candidates.
    """
    matching = [
        candidate
        for candidate in candidates
        if candidate.sha256 == picture.sha256
        or (picture.phash is not None and distance(candidate.phash, picture.phash) <= NEAR)
    ]
    if len(matching) != 1:
        return None
    (found,) = matching
    alike = sum(distance(candidate.phash, found.phash) <= NEAR for candidate in candidates)
    return found if alike == 1 else None
