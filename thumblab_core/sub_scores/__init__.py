"""Measure the six sub-scores of a thumbnail, each 0 to 1, and the evidence from which they are computed.

The measurements do not use the views of any video. docs/sub-scores.md has the formulas, their sources and their known
failures. The class `Meter` does the measurement.
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
