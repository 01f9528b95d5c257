"""The six sub-scores of a thumbnail, each 0 to 1, with the evidence they were measured on; none is derived from views.

Formulas, sources and known failures are in docs/sub-scores.md. `Meter` is the way in.
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
