"""Measure which value of the sub-score `title_match` best separates texts that match a title from other texts.

    python -m benchmarks.title_match CATALOGUE [--most N]

CATALOGUE is a folder with `videos.csv` and `images/`. N is the number of random videos that are used, 1,200 by default.
A text is what the lab can read in the picture of a video. Each text is compared with three kinds of titles: the title
of its own video, the titles of all other videos, and the titles of other videos of the same channel. The table has a
row for each of several values of `title_match`. A row gives the share of comparisons of each kind that reach the value.
"""

import argparse
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.catalogues.catalogue import Catalogue, read_catalogue
from demo.catalogues.source import CatalogueVideo
from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import Pixels, decode
from thumblab_core.sub_scores import Measurement, Meter, Sample, Title
from thumblab_core.sub_scores.title_match import TEXT_RANGE, words

_VALUES = (0.03, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)


def read(catalogue: Catalogue, videos: list[CatalogueVideo]) -> Iterator[tuple[CatalogueVideo, str]]:
    """Yield each video with the text in its picture.

    A video is left out if its picture has no text to compare with the title.
    """
    titled = (Sample(partial(_pixels, catalogue, v.video_id), Title(v.title)) for v in videos)
    measurements = Meter(None, title_encoder("minilm")).measure_many(titled)
    for video, measurement in zip(videos, measurements, strict=True):
        if isinstance(measurement, Measurement) and measurement.scores["title_match"].value is not None:
            yield video, str(words(measurement.evidence.texts or ()))


def _pixels(catalogue: Catalogue, video_id: str) -> Pixels:
    return decode(catalogue.image(video_id)).pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path, help="a folder with videos.csv and images/")
    parser.add_argument("--most", type=int, default=1_200, help="the number of random pictures (default: %(default)s)")
    options = parser.parse_args()
    catalogue = read_catalogue(options.catalogue)
    videos = sorted(catalogue.videos.values(), key=lambda video: video.video_id)
    random.Random(1).shuffle(videos)
    texts_by_video = list(read(catalogue, videos[: options.most]))
    encoder = title_encoder("minilm")
    texts = encoder.encode_texts([text for _, text in texts_by_video])
    titles = encoder.encode_texts([video.title for video, _ in texts_by_video])
    match = np.clip((texts @ titles.T - TEXT_RANGE[0]) / (TEXT_RANGE[1] - TEXT_RANGE[0]), 0, 1)
    channel = np.array([video.channel_id for video, _ in texts_by_video])
    own = np.eye(len(texts_by_video), dtype=bool)
    groups = {
        "its own": match[own],
        "another video's": match[~own],
        "other titles of its channel": match[(channel[:, None] == channel[None]) & ~own],
    }
    table = Table(
        title=f"Share of titles with at least this title_match; {len(texts_by_video):,} pictures with text",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for column in ("title_match", *groups):
        table.add_column(column, justify="right")
    for value in _VALUES:
        table.add_row(f"{value:.2f}", *(f"{(values >= value).mean():.1%}" for values in groups.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
