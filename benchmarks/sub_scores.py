"""Measure the cost of the sub-scores and their correlation with views.

    python -m benchmarks.sub_scores [CATALOGUE] [--faces MODEL]

CATALOGUE is a folder with `videos.csv` and `images/`. The default is the synthetic catalogue. The views of the
synthetic catalogue are computed, so correlations with these views show nothing about real videos. MODEL is the file of
the face model. The default is the file in the settings.

The cost is the processor time of all threads together, in milliseconds. When the machine is busy with other work,
processor time changes less than elapsed time.
"""

import argparse
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from demo.catalogues.catalogue import Catalogue, read_catalogue
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.arrays import Float64s
from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import Pixels, decode
from thumblab_core.model_files import face_model
from thumblab_core.sub_scores import NAMES, Measurement, Meter, Sample, TextLine, Title
from thumblab_core.sub_scores.evidence import Line
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.picture_measurement import Engines, measure_picture
from thumblab_core.sub_scores.text import DETECTION_SIDE, TextReader

_PICTURES = 80
_SIDES = (320, 384, 512, 640, 736)
"""The sizes of the text detector's input that this benchmark compares. A size is the longer side of a picture in
pixels.
"""
_REFERENCE = 1280
"""The reference size of the text detector's input, in pixels. The words that are found with other sizes are compared
with the words that are found with this size.
"""
_LEGIBLE = 5.0
"""A line of text counts as small if its height is below this number of pixels, in a picture that is scaled to a width
of 120 pixels.
"""
_FEWEST = 20
"""A channel with fewer videos than this is left out of the correlation within channels."""
_NEIGHBOURS = 10
"""The local level of a video is a median over other videos of its channel: this many videos before it, and as many
videos after it.
"""
_RESAMPLES = 400
"""The number of bootstrap samples from which an interval is computed."""


def milliseconds(work: Callable[[Pixels], object], pictures: Sequence[Pixels]) -> float:
    """Return the milliseconds of processor time per picture.

    Two passes over the pictures are made. The first pass compiles code for the picture sizes, so only the second pass
    is timed.
    """
    for _ in range(2):
        start = time.process_time()
        for picture in pictures:
            work(picture)
    return (time.process_time() - start) / len(pictures) * 1e3


def words(lines: Sequence[Line], small: bool) -> set[str]:
    """Return the words of at least three letters in some lines of text.

    If `small` is true, only the small lines are used. If `small` is false, only the lines that are not small are used.
    A line is small if it is less than 5 pixels high in a picture that is scaled to a width of 120 pixels.
    """
    readable = (line for line in lines if isinstance(line, TextLine))
    text = " ".join(line.text for line in readable if (line.height_at_120 < _LEGIBLE) == small)
    return set(re.findall(r"[^\W\d_]{3,}", text.casefold()))


def reading(pictures: Sequence[Pixels]) -> Table:
    """Return a table with a row for each size of the text detector's input.

    A row has the milliseconds per picture, and the share of the reference words that are read with this size. The
    reference words are the words that are read with an input of 1280 pixels.
    """
    columns = ("longer side", "ms", "words", "of them found", "others found", "words under 5 px", "of them found")
    table = _table(
        f"Reading text in {len(pictures)} pictures, compared with the words found at {_REFERENCE} pixels", *columns
    )
    reference = TextReader(_REFERENCE)
    known = [reference.read(picture) for picture in pictures]
    for side in _SIDES:
        reader = TextReader(side)
        cost = milliseconds(reader.read, pictures)
        found = [reader.read(picture) for picture in pictures]
        cells = [f"{side} (used)" if side == DETECTION_SIDE else str(side), f"{cost:.0f}"]
        for small in (False, True):
            pairs = [(words(a, small), words(b, False) | words(b, True)) for a, b in zip(known, found, strict=True)]
            total = sum(len(a) for a, _ in pairs)
            cells += [str(total), f"{sum(len(a & b) for a, b in pairs) / max(1, total):.0%}"]
            if not small:
                all_known = [words(lines, False) | words(lines, True) for lines in known]
                cells.append(str(sum(len(b - a) for a, (_, b) in zip(all_known, pairs, strict=True))))
        table.add_row(*cells)
    return table


def stages(pictures: Sequence[Pixels], faces: Path | None) -> Table:
    """Return a table of the milliseconds that each stage of measuring a picture takes.

    Without a face model, the stage for faces is left out.
    """
    reader, blind = TextReader(), Engines(None, None)
    costs = {"light, saliency, layout": milliseconds(lambda picture: measure_picture(picture, blind), pictures)}
    costs["text"] = milliseconds(reader.read, pictures)
    if faces is not None:
        costs["faces"] = milliseconds(FaceFinder(faces).find, pictures)
    table = _table(f"One picture, {len(pictures)} pictures", "stage", "ms")
    for stage, cost in costs.items():
        table.add_row(stage, f"{cost:.1f}")
    return table


def measured(catalogue: Catalogue, meter: Meter, console: Console) -> dict[str, Measurement]:
    """Measure every picture of the catalogue, as the Dagster asset `visual_features` does.

    Return the measurements by video id. Pictures that cannot be read are left out.
    """
    videos = list(catalogue.videos.values())
    clock, cpu = time.perf_counter(), time.process_time()
    results = list(meter.measure_many(Sample(partial(_pixels, catalogue, v.video_id), Title(v.title)) for v in videos))
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    good = {v.video_id: result for v, result in zip(videos, results, strict=True) if isinstance(result, Measurement)}
    console.print(
        f"{len(videos)} pictures, {len(videos) - len(good)} unreadable, on {os.cpu_count()} cores: "
        f"{len(videos) / clock:.1f} pictures per second ({clock / len(videos) * 1e3:.0f} ms per picture), "
        f"{cpu / len(videos) * 1e3:.0f} ms of processor time per picture; load average {os.getloadavg()[0]:.1f}"
    )
    return good


def spread(measurements: dict[str, Measurement]) -> Table:
    """Return a table with the number of values and three percentiles of each sub-score."""
    table = _table(
        "Spread of the sub-scores", "sub-score", "measured", "lowest tenth below", "median", "highest tenth above"
    )
    for name in NAMES:
        values = [v for measurement in measurements.values() if (v := measurement.scores[name].value) is not None]
        tenth, median, top = np.percentile(values, [10, 50, 90]) if values else (np.nan,) * 3
        table.add_row(name, str(len(values)), f"{tenth:.3f}", f"{median:.3f}", f"{top:.3f}")
    return table


def with_views(catalogue: Catalogue, measurements: dict[str, Measurement]) -> Table:
    """Return a table of the rank correlation (Spearman) of each sub-score with views.

    The table has a correlation over all videos, and a correlation that is computed within channels.
    """
    channels: defaultdict[str, list[CatalogueVideo]] = defaultdict(list)
    for video_id in measurements:
        video = catalogue.videos[video_id]
        channels[video.channel_id].append(video)
    large_channels = [videos for videos in channels.values() if len(videos) >= _FEWEST]
    table = _table(
        "Rank correlation with views (95 % interval)", "sub-score", "all", "videos", "within channel", "videos"
    )
    for name in NAMES:
        rows = [_daily(videos, measurements, name, catalogue.observed_at) for videos in channels.values()]
        overall = _bootstrapped([row for row in rows if row.size], over_groups=True)
        channel_rows = [
            row for videos in large_channels if len(row := _untrended(videos, measurements, name)) >= _FEWEST
        ]
        within = _bootstrapped(channel_rows, over_groups=False)
        table.add_row(name, overall, str(sum(map(len, rows))), within, str(sum(map(len, channel_rows))))
    table.caption = (
        "all: with lifetime views per day of age, bootstrap over channels. within channel: with ln views minus the median "
        f"of the {2 * _NEIGHBOURS} videos published nearest, mean over channels of at least {_FEWEST} videos, "
        "weighted by size, bootstrap over videos"
    )
    return table


def _daily(
    videos: Sequence[CatalogueVideo], measurements: dict[str, Measurement], name: str, now: datetime
) -> Float64s:
    """Return the sub-score `name` and ln(1 + views per day) of each video, [n, 2].

    Videos without this sub-score are left out. An age below one day counts as one day.
    """
    return np.array(
        [
            (value, np.log1p(video.views / max(1.0, (now - video.published_at).total_seconds() / 86_400)))
            for video in videos
            if (value := measurements[video.video_id].scores[name].value) is not None
        ]
    )


def _untrended(videos: Sequence[CatalogueVideo], measurements: dict[str, Measurement], name: str) -> Float64s:
    """Return a row for each video [n, 2]: the sub-score `name`, and the difference between ln(1 + views) and the local
    level.

    The local level is the median of ln(1 + views) of the channel's videos that were published just before and just
    after the video. Subtracting the local level removes the effects of age and of the growth of the channel.
    """
    ordered = sorted(videos, key=lambda video: video.published_at)
    views = np.log1p([video.views for video in ordered])
    rows = []
    for index, video in enumerate(ordered):
        near = np.r_[views[max(0, index - _NEIGHBOURS) : index], views[index + 1 : index + 1 + _NEIGHBOURS]]
        value = measurements[video.video_id].scores[name].value
        if value is not None:
            rows.append((value, views[index] - np.median(near)))
    return np.array(rows)


def _bootstrapped(groups: Sequence[Float64s], over_groups: bool) -> str:
    """Return the rank correlation of the two columns of `groups` and its 95 % bootstrap interval, as text.

    If `over_groups` is true, one correlation is computed over all rows, and the bootstrap resamples whole groups.
    Otherwise the result is the mean of the groups' correlations, weighted by the number of rows. The bootstrap then
    resamples the rows of each group.
    """
    if not groups:
        return "-"
    random = np.random.default_rng(0)
    figures = []
    for resample in range(_RESAMPLES + 1):
        chosen = list(groups)
        if resample and over_groups:
            chosen = [groups[index] for index in random.integers(0, len(groups), len(groups))]
        elif resample:
            chosen = [group[random.integers(0, len(group), len(group))] for group in groups]
        figures.append(_spearman([np.concatenate(chosen)] if over_groups else chosen))
    low, high = np.nanpercentile(figures[1:], [2.5, 97.5])
    return f"{figures[0]:+.3f} ({low:+.3f} to {high:+.3f})"


def _spearman(groups: Sequence[Float64s]) -> float:
    correlations = [spearmanr(group[:, 0], group[:, 1]).statistic for group in groups]
    return float(np.average(correlations, weights=[len(group) for group in groups]))


def _pixels(catalogue: Catalogue, video_id: str) -> Pixels:
    return decode(catalogue.image(video_id)).pixels


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "catalogue", type=Path, nargs="?", help="a folder with videos.csv and images/ (default: synthetic)"
    )
    parser.add_argument("--faces", type=Path, help="the file of the face model (default: the file in the settings)")
    options = parser.parse_args()
    catalogue: Catalogue = read_catalogue(options.catalogue) if options.catalogue else synthetic_catalogue()
    faces = options.faces or face_model()
    console = Console()
    chosen = np.random.default_rng(0).permutation(sorted(catalogue.videos))[:_PICTURES]
    pictures = [_pixels(catalogue, str(video_id)) for video_id in chosen]
    console.print(reading(pictures))
    console.print(stages(pictures, faces))
    measurements = measured(catalogue, Meter(faces, title_encoder("minilm")), console)
    console.print(spread(measurements))
    console.print(with_views(catalogue, measurements))


if __name__ == "__main__":
    main()
