"""Draw a sample of the training pairs as one picture: the winner of each pair on the left, the loser on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.releases.release import Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.previews.contact_sheet import GAP, blank, place, small_or_none
from thumblab_pipelines.previews.markdown import picture

if TYPE_CHECKING:
    from PIL.Image import Image

_PAIRS = 12
_DRAWN = 60
"""Number of pairs that are chosen at random. Only `_PAIRS` are shown, but some pictures may be unreadable."""
_ACROSS = 3


def pairs_sample(lab: Lab, release: Release) -> str | None:
    """Return twelve random pairs of a pairs release as a Markdown image, or None if no pair can be shown.

    The same release gives the same sample. A white line separates two pairs.
    """
    import pandas as pd

    pairs = pd.read_parquet(release.path / "pairs.parquet", columns=["winner", "loser"])
    pictures = pd.read_parquet(release.path / "videos.parquet", columns=["sha256"]).sha256.tolist()
    order = np.random.default_rng(0).permutation(len(pairs))[:_DRAWN]
    shown: list[list[Image | None]] = []
    for row in pairs.iloc[order].to_numpy(np.intp):
        both = [small_or_none(lab, str(pictures[video])) for video in row]
        if len(shown) < _PAIRS and None not in both:
            shown.append(both)
        if len(shown) == _PAIRS:
            break
    if not shown:
        return None
    sheet = blank(2 * min(_ACROSS, len(shown)), -(-len(shown) // _ACROSS))
    for line in range(1, min(_ACROSS, len(shown))):
        left = place(2 * line, 0)[0] - GAP
        sheet.paste((255, 255, 255), (left, 0, left + GAP, sheet.height))
    for number, both in enumerate(shown):
        for side, image in enumerate(both):
            if image is not None:
                sheet.paste(image, place(2 * (number % _ACROSS) + side, number // _ACROSS))
    return picture("training pairs: winner, loser", sheet)
