"""Choose the three thumbnails that the demo ranks. The true order of the three is known."""

from dataclasses import dataclass

from thumblab_cli.demo.lab import DemoLab
from thumblab_core.errors import LabError

_RANKS = (0.9, 0.5, 0.1)
"""The places of the three candidates when the held-out videos of their channel are sorted by views. 0 stands for the
video with the fewest views, and 1 for the video with the most views.
"""


@dataclass(frozen=True)
class DemoThumbnail:
    """A candidate and its true quality.

    The true quality is either the quality that the synthetic catalogue planted in the picture, or the number of views.
    `truth_name` says whether the true quality is the planted quality or the views. `truth` is the true quality as a
    text. `truth_value` is a number that is larger for a better candidate.
    """

    name: str
    image: bytes
    title: str
    niche: str
    truth_name: str
    truth: str
    truth_value: float


def choose_candidates(lab: DemoLab) -> list[DemoThumbnail]:
    """Return the candidates for the catalogue of the demo.

    For the synthetic catalogue, the candidates are three new drawings of known quality. For a catalogue of the user,
    the candidates are the thumbnails of three held-out videos of the largest channel.
    """
    from demo.catalogues.synthetic import SyntheticCatalogue

    if isinstance(lab.catalogue, SyntheticCatalogue):
        return [
            DemoThumbnail(c.name, c.image, c.title, "tech", "planted quality", f"{c.quality:+.1f}", c.quality)
            for c in lab.catalogue.candidates("tech", seed=1)
        ]
    return _held_out(lab)


def _held_out(demo: DemoLab) -> list[DemoThumbnail]:
    import pandas as pd

    from thumblab_core.releases.release import ALL, PAIRS
    from thumblab_pipelines.lab import Lab

    lab = Lab.open(demo.settings)
    release = lab.releases.latest(PAIRS, ALL)
    if release is None:
        raise LabError("there are no training pairs, so no thumbnail is held out; run the demo again")
    videos = pd.read_parquet(release.path / "videos.parquet")
    held_out = videos[videos.part == "test"]
    largest_channel = held_out.channel_id.mode().iloc[0]
    ordered = held_out[held_out.channel_id == largest_channel].sort_values("target")
    chosen = [ordered.iloc[round(rank * (len(ordered) - 1))] for rank in _RANKS]
    return [
        DemoThumbnail(
            row.video_id,
            lab.images.get(row.sha256),
            row.title,
            row.niche,
            "its views",
            f"{row.views:,}",
            float(row.target),
        )
        for row in chosen
    ]
