"""Three thumbnails to rank in the demo, of which the truth is known."""

from dataclasses import dataclass

from thumblab_cli.demo.lab import DemoLab
from thumblab_core.errors import LabError

_SHARES = (0.9, 0.5, 0.1)


@dataclass(frozen=True)
class DemoThumbnail:
    """A thumbnail and what is known of how good it is: `truth_value` orders the candidates, `truth` shows it."""

    name: str
    image: bytes
    title: str
    niche: str
    truth_name: str
    truth: str
    truth_value: float


def choose_candidates(lab: DemoLab) -> list[DemoThumbnail]:
    """Fresh drawings of a planted quality, or three held-out videos of the catalogue's largest channel."""
    from demo.catalogues.synthetic import SyntheticCatalogue

    if isinstance(lab.catalogue, SyntheticCatalogue):
        return [
            DemoThumbnail(c.name, c.image, c.title, "tech", "planted quality", f"{c.quality:+.1f}", c.quality)
            for c in lab.catalogue.candidates("tech", seed=1)
        ]
    return _held_out(lab)


def _held_out(lab: DemoLab) -> list[DemoThumbnail]:
    import pandas as pd

    from thumblab_core.releases.release import ALL, PAIRS
    from thumblab_pipelines.lab import Lab

    own = Lab.open()
    release = own.releases.latest(PAIRS, ALL)
    if release is None:
        raise LabError("there are no training pairs to take held-out thumbnails from; run the demo again")
    videos = pd.read_parquet(release.path / "videos.parquet")
    test = videos[videos.part == "test"]
    channel = test.channel_id.mode().iloc[0]
    ordered = test[test.channel_id == channel].sort_values("target")
    chosen = [ordered.iloc[round(share * (len(ordered) - 1))] for share in _SHARES]
    return [
        DemoThumbnail(
            row.video_id,
            own.images.get(row.sha256),
            row.title,
            row.niche,
            "its views",
            f"{row.views:,}",
            float(row.target),
        )
        for row in chosen
    ]
