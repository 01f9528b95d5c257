"""How near the model comes to what is planted: `python -m benchmarks.planted [--videos 1800 20000] [--seed 7]`.

Drawn pictures, written titles and views by a formula (`demo.catalogues.synthetic`): what anybody could know is known.
For each size of catalogue the lab's training is run with its defaults, once on the pictures by the built-in descriptor and
once on the very attributes that they are drawn from: the one says what the lab reaches, the other what it would with a
perfect eye.
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

from demo.catalogues.drawing import ATTRIBUTES
from demo.catalogues.synthetic import CLOCK, SyntheticCatalogue, synthetic_catalogue
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
    """A catalogue, and what the lab would make of it: nothing here goes through the database."""

    catalogue: SyntheticCatalogue
    data: Dataset

    @property
    def ids(self) -> list[str]:
        return list(self.data.videos.video_id)

    @property
    def quality(self) -> npt.NDArray[np.float64]:
        """[n] what the views follow but for noise."""
        return np.array([self.catalogue.planted_quality(video_id) for video_id in self.ids])

    @property
    def attributes(self) -> npt.NDArray[np.float64]:
        """[n, 6] what each picture is drawn from."""
        return np.array([self.catalogue.attributes(video_id) for video_id in self.ids])

    def way(self, scores: Floats, part: str | None) -> float:
        """How far the scores [n] come from 0.5 to what the planted quality itself reaches on the same pairs."""
        pairs = self.data.pairs if part is None else self.data.pairs[self.data.pairs.part == part]
        sides = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        return (pair_auc(scores, *sides) - 0.5) / (pair_auc(self.quality, *sides) - 0.5)

    def with_perfect_eye(self) -> Dataset:
        """The same with the attributes themselves in place of pictures."""
        return dataclasses.replace(self.data, images=self.attributes.astype(np.float32))

    def legible(self) -> npt.NDArray[np.float64]:
        """[6] how well each attribute can be read off the vectors along a straight line: correlations on held-out pictures.

        Attributes carry no noise, so this is of the vectors and of how many there are to learn from, not of views. The best
        of four penalties, each by itself: what can be read, not what a model would.
        """
        known, asked = self.data.rows(TRAIN), self.data.rows(TEST)
        images = self.data.images - self.data.images[known].mean(axis=0)
        images /= np.maximum(images[known].std(axis=0), 1e-6) * np.sqrt(images.shape[1])
        found = np.zeros((len(_PENALTIES), len(ATTRIBUTES)))
        for column, attribute in enumerate(self.attributes.T):
            for row, penalty in enumerate(_PENALTIES):
                read = images[asked] @ fit_ridge(images[known], attribute[known], penalty)
                found[row, column] = np.corrcoef(read, attribute[asked])[0, 1]
        best: npt.NDArray[np.float64] = found.max(axis=0)
        return best


def planted_data(videos: int, seed: int, folder: Path) -> PlantedData:
    """Draw the pictures, encode them, pair the videos; the release of the pairs lies in the folder."""
    catalogue = synthetic_catalogue(videos, seed)
    shown = sorted(catalogue.videos.values(), key=lambda video: (video.published_at, video.video_id))
    fields = ("video_id", "niche", "channel_id", "title", "published_at", "duration_s", "views")
    corpus = pd.DataFrame({name: [getattr(video, name) for video in shown] for name in fields})
    corpus["age_hours"] = (pd.Timestamp(CLOCK) - corpus.published_at).dt.total_seconds() / 3_600
    corpus = corpus.assign(target=Growth().target(corpus), learnt=True, era="one")
    corpus = corpus.assign(part=split_by_time(corpus), fold=split_by_channel(corpus))

    def write(into: Path) -> None:
        corpus.to_parquet(into / "videos.parquet")

    info = {"image_encoder": BuiltinEncoder.fingerprint, "title_encoder": "minilm", "inputs": "planted"}
    release = ReleaseStore(folder).publish("pairs", "all", write, info)
    titles = title_encoder("minilm").encode_texts(corpus.title.tolist())
    unknown = np.full((len(corpus), len(NAMES)), np.nan, np.float32)
    images = looked_at(catalogue, corpus.video_id.tolist())
    return PlantedData(catalogue, Dataset(release, corpus, pair_up(corpus, 30.0), images, titles, unknown))


def pixels(catalogue: SyntheticCatalogue, video_id: str) -> Pixels:
    """A drawn thumbnail, decoded."""
    return decode(catalogue.image(video_id)).pixels


def looked_at(catalogue: SyntheticCatalogue, ids: Sequence[str]) -> Vectors:
    """The vectors of drawn thumbnails by the built-in descriptor."""
    encoder = BuiltinEncoder()
    with ThreadPoolExecutor(2) as pool:
        prepared = list(pool.map(lambda video_id: encoder.prepare(pixels(catalogue, video_id)), ids))
    return encoder.encode_prepared(prepared)


def planted(sizes: Sequence[int], seed: int, console: Console) -> list[Table]:
    """The way from chance to the ceiling, and what of the pictures is legible."""
    ways = Table(title="share of the way from 0.5 to the planted ceiling", title_justify="left", box=SIMPLE_HEAD)
    for column in ("videos", "pictures", "test pairs", "known channels", "not adapted", "never seen"):
        ways.add_column(column, justify="left" if column == "pictures" else "right")
    legible = Table(title="attributes read off the vectors (correlation)", title_justify="left", box=SIMPLE_HEAD)
    legible.add_column("videos", justify="right")
    for name in ATTRIBUTES:
        legible.add_column(name, justify="right")
    for videos in sizes:
        with TemporaryDirectory() as folder, console.status(f"{videos:,} videos"):
            made = planted_data(videos, seed, Path(folder))
            legible.add_row(f"{videos:,}", *(f"{value:.2f}" for value in made.legible()))
            held_out = int((made.data.pairs.part == TEST).sum())
            for eye, data in (("built-in", made.data), ("perfect eye", made.with_perfect_eye())):
                held = train(data, TrainConfig()).held
                said = (made.way(held.future, TEST), made.way(held.future_unadapted, TEST), made.way(held.new, None))
                ways.add_row(f"{videos:,}", eye, f"{held_out:,}", *(f"{100 * one:.1f} %" for one in said))
    return [ways, legible]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=7, help="of the catalogue")
    said = parser.parse_args()
    console = Console()
    for table in planted(said.videos, said.seed, console):
        console.print(table)


if __name__ == "__main__":
    main()
