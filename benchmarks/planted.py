"""Measure how close the model comes to the best possible model on the synthetic catalogue.

    python -m benchmarks.planted [--videos 1800 20000] [--seed 7] [--effects none|confounded|one_title] [--json]

In the synthetic catalogue (`demo.catalogues.synthetic`), views are computed from a known number for each video, its
planted quality. The best possible AUC is therefore known, for two questions:

    package     Which of two videos of a channel got more views? The two videos differ in title and picture.
    one title   Which of the pictures of the two videos would get more views if both had the same title?

For each size of the catalogue, three models are trained with the lab's default settings:
- The first model learns from the pictures, encoded by the built-in encoder.
- The second model also learns from these pictures, but with `TrainConfig.partial_out` off. The weights of its pictures
  are then fitted to the views themselves. Normally, they are fitted to the part of the views that the context does not
  explain.
- The third model learns from the attributes from which the pictures are drawn. This model shows which AUC is possible
  with a perfect encoder. The tables call this model `perfect eye`.

`--effects` adds effects to the catalogue (`demo.catalogues.effects`). With `confounded`, the topic of a video affects
both its picture and its views. `one_title` adds this effect and three more: the effect of the words in a picture
depends on the title, each channel has its own taste, and some thumbnails are changed.

The words in a picture are an input of the models. The catalogue knows which words it drew, so no program has to read
the words from the picture.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.planted_one_title import OneTitleFigures, one_title_figures
from demo.catalogues.drafts import CLOCK
from demo.catalogues.drawing import ATTRIBUTES
from demo.catalogues.effects import CONFOUNDED, NO_EFFECTS, ONE_TITLE, PlantedEffects
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from thumblab_core.arrays import Floats
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import Pixels, decode
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.dataset.ageing import Growth
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST, TRAIN, split_by_channel, split_by_time
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.linear import fit_ridge
from thumblab_pipelines.training.train import train

SIZES = (1_800, 5_400, 10_800, 20_000)
EFFECTS = {"none": NO_EFFECTS, "confounded": CONFOUNDED, "one_title": ONE_TITLE}
_STYLE: dict[str, Any] = {"title_justify": "left", "box": SIMPLE_HEAD}
_PENALTIES = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class PlantedData:
    """A synthetic catalogue, and the training data that was made from it without a database."""

    catalogue: SyntheticCatalogue
    data: Dataset

    @property
    def ids(self) -> list[str]:
        """The video ids in the order of the rows, [n]."""
        return list(self.data.videos.video_id)

    @property
    def quality(self) -> npt.NDArray[np.float64]:
        """The planted quality of each video, [n].

        Within a channel, the views of a video follow from its planted quality, its age and noise.
        """
        return np.array([self.catalogue.planted_quality(video_id) for video_id in self.ids])

    @property
    def attributes(self) -> npt.NDArray[np.float64]:
        """The six attributes from which each picture is drawn, [n, 6]."""
        return np.array([self.catalogue.attributes(video_id) for video_id in self.ids])

    def way(self, scores: Floats, part: str | None) -> float:
        """Return how far the AUC of the scores is on the way from chance (0) to the AUC of the planted quality (1).

        The result is (AUC of the scores - 0.5) / (AUC of the planted quality - 0.5). Both AUCs are computed on the same
        pairs.

        Args:
            scores: the scores of the videos, [n].
            part: the part of the split whose pairs are used. With None, all pairs are used.
        """
        pairs = self.data.pairs if part is None else self.data.pairs[self.data.pairs.part == part]
        sides = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        return (pair_auc(scores, *sides) - 0.5) / (pair_auc(self.quality, *sides) - 0.5)

    def with_perfect_eye(self) -> Dataset:
        """Return a copy of the training data in which the six attributes of each picture replace its image vector.

        A perfect encoder would read these attributes from the picture. The model that learns from this copy is
        therefore called `perfect eye`.
        """
        return dataclasses.replace(self.data, images=self.attributes.astype(np.float32))

    def legible(self) -> npt.NDArray[np.float64]:
        """Return how well a linear model predicts each of the six attributes from the image vectors, [6].

        Each value is the correlation of prediction and attribute on the test pictures. Attributes have no noise. The
        values therefore depend only on the vectors and their number, and not on views.

        For each attribute, four ridge penalties are tried. The best correlation on the test pictures is returned, so
        the values are upper limits for a model with one penalty for all attributes.
        """
        train_rows, test_rows = self.data.rows(TRAIN), self.data.rows(TEST)
        images = self.data.images - self.data.images[train_rows].mean(axis=0)
        images /= np.maximum(images[train_rows].std(axis=0), 1e-6) * np.sqrt(images.shape[1])
        correlations = np.zeros((len(_PENALTIES), len(ATTRIBUTES)))
        for column, attribute in enumerate(self.attributes.T):
            for row, penalty in enumerate(_PENALTIES):
                predicted = images[test_rows] @ fit_ridge(images[train_rows], attribute[train_rows], penalty)
                correlations[row, column] = np.corrcoef(predicted, attribute[test_rows])[0, 1]
        best: npt.NDArray[np.float64] = correlations.max(axis=0)
        return best


def planted_data(
    videos: int, seed: int, folder: Path, effects: PlantedEffects = NO_EFFECTS, encode: bool = True
) -> PlantedData:
    """Draw and encode the pictures of a synthetic catalogue, make pairs of its videos, and return the training data.

    A `Dataset` needs a pairs release, so this function writes one below `folder`. The words in the pictures are taken
    from the catalogue, and not read from the pictures. If `encode` is False, no picture is drawn, and the data has no
    vectors of pictures. `PlantedData.with_perfect_eye` does not need these vectors.
    """
    catalogue = synthetic_catalogue(videos, seed, effects)
    by_date = sorted(catalogue.videos.values(), key=lambda video: (video.published_at, video.video_id))
    fields = ("video_id", "niche", "channel_id", "title", "published_at", "duration_s", "views")
    corpus = pd.DataFrame({name: [getattr(video, name) for video in by_date] for name in fields})
    corpus["age_hours"] = (pd.Timestamp(CLOCK) - corpus.published_at).dt.total_seconds() / 3_600
    corpus = corpus.assign(target=Growth().target(corpus), learnt=True, era="one")
    corpus["picture_words"] = [" ".join(catalogue.words(video_id)) for video_id in corpus.video_id]
    corpus = corpus.assign(part=split_by_time(corpus), fold=split_by_channel(corpus))

    def write(release_folder: Path) -> None:
        corpus.to_parquet(release_folder / "videos.parquet")

    info = {"image_encoder": BuiltinEncoder.fingerprint, "title_encoder": "minilm", "inputs": "planted"}
    release = ReleaseStore(folder).publish("pairs", "all", write, info)
    titles = title_encoder("minilm").encode_texts(corpus.title.tolist())
    sub_scores = np.full((len(corpus), len(NAMES)), np.nan, np.float32)
    images = encoded(catalogue, corpus.video_id.tolist()) if encode else np.zeros((len(corpus), 0), np.float32)
    return PlantedData(catalogue, Dataset(release, corpus, pair_up(corpus, 30.0), images, titles, sub_scores))


def pixels(catalogue: SyntheticCatalogue, video_id: str) -> Pixels:
    """Return the pixels of a drawn thumbnail."""
    return decode(catalogue.image(video_id)).pixels


def encoded(catalogue: SyntheticCatalogue, ids: Sequence[str]) -> Vectors:
    """Return the vectors that the built-in encoder makes of the drawn thumbnails with these video ids."""
    encoder = BuiltinEncoder()
    with ThreadPoolExecutor(2) as pool:
        prepared = list(pool.map(lambda video_id: encoder.prepare(pixels(catalogue, video_id)), ids))
    return encoder.encode_prepared(prepared)


@dataclass(frozen=True)
class Result:
    """The figures of one model that was trained on one catalogue.

    `package`: the results of `PlantedData.way` for known channels, for known channels without adapters, and for unseen
    channels. `one_title`: the figures for pairs of pictures with the same title, one for each split.
    """

    videos: int
    model: str
    test_pairs: int
    package: tuple[float, float, float]
    one_title: list[OneTitleFigures]


def results(data: PlantedData, recipe: TrainConfig) -> Iterator[Result]:
    """Train the three models of this benchmark on a catalogue, and yield the figures of each."""
    held_out = int((data.data.pairs.part == TEST).sum())
    for model, dataset, config in (
        ("built-in", data.data, recipe),
        ("not partialled out", data.data, dataclasses.replace(recipe, partial_out=False)),
        ("perfect eye", data.with_perfect_eye(), recipe),
    ):
        held = train(dataset, config).held
        ways = (data.way(held.future, TEST), data.way(held.future_unadapted, TEST), data.way(held.new, None))
        yield Result(len(data.ids), model, held_out, ways, one_title_figures(data.catalogue, dataset, held))


def tables(found: Sequence[Result], legible: Mapping[int, Floats]) -> list[Table]:
    """Return three tables: one for each of the two questions, and one with the values of `legible`.

    `legible` maps the number of videos of each catalogue to the result of `PlantedData.legible`.
    """
    package = Table(title="package: (AUC - 0.5) / (best possible AUC - 0.5)", **_STYLE)
    for column in ("videos", "model", "test pairs", "known channels", "not adapted", "unseen channels"):
        package.add_column(column, justify="left" if column == "model" else "right")
    one_title = Table(title="one title: expected figures on held-out pairs, from the known qualities", **_STYLE)
    columns = ("videos", "model", "split", "pairs", "AUC", "ceiling", "way", "ECE", "changes", "planted changes")
    for column in columns:
        one_title.add_column(column, justify="left" if column in ("model", "split") else "right")
    for result in found:
        start = f"{result.videos:,}", result.model
        package.add_row(*start, f"{result.test_pairs:,}", *(f"{100 * way:.1f} %" for way in result.package))
        for row in result.one_title:
            aucs = f"{row.auc:.3f}", f"{row.ceiling:.3f}", f"{100 * row.way:.1f} %", f"{row.ece:.3f}"
            changes = f"{100 * row.changes:.1f} %", f"{100 * row.planted_changes:.1f} %"
            one_title.add_row(*start, row.split, f"{row.pairs:,}", *aucs, *changes)
    read = Table(title="attributes predicted from the image vectors (correlation)", **_STYLE)
    for name in ("videos", *ATTRIBUTES):
        read.add_column(name, justify="right")
    for videos, values in legible.items():
        read.add_row(f"{videos:,}", *(f"{value:.2f}" for value in values))
    return [package, one_title, read]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=SIZES, help="sizes of the catalogues")
    parser.add_argument("--seed", type=int, default=7, help="seed of the catalogue (default: %(default)s)")
    parser.add_argument("--effects", choices=EFFECTS, default="none", help="more planted effects (default: none)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    console, found, legible = Console(stderr=options.json), list[Result](), dict[int, Floats]()
    for videos in options.videos:
        with TemporaryDirectory() as folder, console.status(f"{videos:,} videos"):
            data = planted_data(videos, options.seed, Path(folder), EFFECTS[options.effects])
            legible[videos] = data.legible()
            found.extend(results(data, TrainConfig()))
    if options.json:
        rows = [dataclasses.asdict(result) for result in found]
        read = {videos: dict(zip(ATTRIBUTES, values.tolist(), strict=True)) for videos, values in legible.items()}
        print(json.dumps({"effects": options.effects, "seed": options.seed, "results": rows, "legible": read}))
        return
    for table in tables(found, legible):
        console.print(table)


if __name__ == "__main__":
    main()
