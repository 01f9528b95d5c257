"""Measure the six sub-scores of a thumbnail, each 0 to 1, with the evidence that they were measured on.

The measurements do not use the views of any video. docs/sub-scores.md has the formulas, their sources and their known
failures. Start with `Meter`.
"""

from thumblab_core.sub_scores.evidence import NAMES, Box, Evidence, Face, Measurement, SubScore, TextLine, UnreadLine
from thumblab_core.sub_scores.meter import Meter, Sample, Title

__all__ = [
    "NAMES",
    "Box",
    "Evidence",
    "Face",
    "Measurement",
    "Meter",
    "Sample",
    "SubScore",
    "TextLine",
    "Title",
    "UnreadLine",
]
