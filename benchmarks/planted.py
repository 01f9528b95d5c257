"""Measure how close the model comes to the planted quality, the true quality of the videos in the synthetic catalogue.

    python -m benchmarks.planted [--videos 1800 20000] [--seed 7]

In the synthetic catalogue (`demo.catalogues.synthetic`), the views are computed from this quality, so the best possible
AUC is known. For each size of the catalogue, the lab trains two models with its default settings. One learns from the
pictures, encoded by the built-in encoder. The other learns from the attributes that the program used to draw the
pictures. This second model shows which AUC is possible with a perfect encoder.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.catalogues.drafts import CLOCK
from demo.catalogues.drawing import ATTRIBUTES
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
_PENALTIES = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class PlantedData:
    """A synthetic catalogue, and the training data that the lab makes of this catalogue without a database."""

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
        """Return how far the scores come on the way from chance (0) to the planted quality (1).

        The result is (AUC of the scores - 0.5) / (AUC of the planted quality - 0.5). Both AUCs are computed on the same
        pairs.

        Args:
            scores: the scores of the videos, [n].
            part: the part of the split whose pairs are used. None uses all pairs.
        """
        pairs = self.data.pairs if part is None else self.data.pairs[self.data.pairs.part == part]
        sides = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        return (pair_auc(scores, *sides) - 0.5) / (pair_auc(self.quality, *sides) - 0.5)

    def with_perfect_eye(self) -> Dataset:
        """Return a copy of the training data in which the six attributes of each picture replace its image vector.

        A perfect encoder would read these attributes from the picture.
        """
        return dataclasses.replace(self.data, images=self.attributes.astype(np.float32))

    def legible(self) -> npt.NDArray[np.float64]:
        """Return how well a linear model predicts each of the six attributes from the image vectors, [6].

        Each value is the correlation of prediction and attribute on the test pictures. Attributes have no noise, so the
        values depend only on the vectors and their number, and not on views. For each attribute, four ridge penalties
        are tried, and the best correlation on the test pictures is returned. A single model for all attributes, with
        one penalty, would reach at most these values.
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


def planted_data(videos: int, seed: int, folder: Path) -> PlantedData:
    """Draw and encode the pictures of a synthetic catalogue, make pairs of its videos, and return the training data.

    The release of the pairs is written below `folder`.
    """
    catalogue = synthetic_catalogue(videos, seed)
    by_date = sorted(catalogue.videos.values(), key=lambda video: (video.published_at, video.video_id))
    fields = ("video_id", "niche", "channel_id", "title", "published_at", "duration_s", "views")
    corpus = pd.DataFrame({name: [getattr(video, name) for video in by_date] for name in fields})
    corpus["age_hours"] = (pd.Timestamp(CLOCK) - corpus.published_at).dt.total_seconds() / 3_600
    corpus = corpus.assign(target=Growth().target(corpus), learnt=True, era="one")
    corpus = corpus.assign(part=split_by_time(corpus), fold=split_by_channel(corpus))

    def write(release_folder: Path) -> None:
        corpus.to_parquet(release_folder / "videos.parquet")

    info = {"image_encoder": BuiltinEncoder.fingerprint, "title_encoder": "minilm", "inputs": "planted"}
    release = ReleaseStore(folder).publish("pairs", "all", write, info)
    titles = title_encoder("minilm").encode_texts(corpus.title.tolist())
    sub_scores = np.full((len(corpus), len(NAMES)), np.nan, np.float32)
    images = encoded(catalogue, corpus.video_id.tolist())
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


def planted(sizes: Sequence[int], seed: int, console: Console) -> list[Table]:
    """Train models on catalogues of all sizes, and return two tables.

    One table has the results of `PlantedData.way`, and the other the results of `PlantedData.legible`.
    """
    ways = Table(title="share of the way from 0.5 to the planted ceiling", title_justify="left", box=SIMPLE_HEAD)
    for column in ("videos", "pictures", "test pairs", "known channels", "not adapted", "never seen"):
        ways.add_column(column, justify="left" if column == "pictures" else "right")
    legible = Table(title="attributes read off the vectors (correlation)", title_justify="left", box=SIMPLE_HEAD)
    legible.add_column("videos", justify="right")
    for name in ATTRIBUTES:
        legible.add_column(name, justify="right")
    for videos in sizes:
        with TemporaryDirectory() as folder, console.status(f"{videos:,} videos"):
            data = planted_data(videos, seed, Path(folder))
            legible.add_row(f"{videos:,}", *(f"{value:.2f}" for value in data.legible()))
            held_out = int((data.data.pairs.part == TEST).sum())
            for encoder, dataset in (("built-in", data.data), ("perfect eye", data.with_perfect_eye())):
                held = train(dataset, TrainConfig()).held
                shares = (data.way(held.future, TEST), data.way(held.future_unadapted, TEST), data.way(held.new, None))
                ways.add_row(f"{videos:,}", encoder, f"{held_out:,}", *(f"{100 * share:.1f} %" for share in shares))
    return [ways, legible]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=SIZES, help="sizes of the catalogues")
    parser.add_argument("--seed", type=int, default=7, help="seed of the catalogue (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    for table in planted(options.videos, options.seed, console):
        console.print(table)


if __name__ == "__main__":
    main()
