"""Measure how many pictures of a set count as unlike the training pictures. Several sets are measured.

A picture counts as unlike the training pictures if its cosine with the nearest training picture is below a threshold.

    python -m benchmarks.familiar CATALOGUE

CATALOGUE is a folder with `videos.csv` and `images/`. This catalogue and the synthetic catalogue are encoded with the
built-in encoder. For each of the two catalogues, the pictures of half of the channels serve as training pictures. Three
sets of pictures are compared with these training pictures: the pictures of the other channels, the pictures of the
other catalogue, and pictures of noise.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.catalogues.catalogue import Catalogue, read_catalogue
from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.protocol import ImageEncoder, Vectors
from thumblab_core.images import decode
from thumblab_core.ranking.familiarity import Familiarity


def encoded(catalogue: Catalogue, encoder: ImageEncoder) -> tuple[Vectors, npt.NDArray[np.str_]]:
    """Return the vectors of a catalogue's pictures, and the channel id of each picture."""
    pictures = (decode(catalogue.image(name), encoder.decode_size).pixels for name in catalogue.videos)
    vectors = encoder.encode_prepared([encoder.prepare(picture) for picture in pictures])
    return vectors, np.array([video.channel_id for video in catalogue.videos.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path, help="a folder with videos.csv and images/")
    options = parser.parse_args()
    encoder = named_image_encoder("builtin", Path())
    random = np.random.default_rng(0)
    noise = encoder.encode_images([random.integers(0, 256, (180, 320, 3), np.uint8) for _ in range(20)])
    sets = {
        "synthetic": encoded(synthetic_catalogue(), encoder),
        options.catalogue.name: encoded(read_catalogue(options.catalogue), encoder),
    }
    table = Table(title="Pictures unlike the training pictures", title_justify="left", box=SIMPLE_HEAD)
    for column in ("training pictures of", "least cosine", "other channels", "the other catalogue", "noise"):
        table.add_column(column, justify="right")
    for name, (vectors, channels) in sets.items():
        shuffled = random.permutation(np.unique(channels))
        trained = np.isin(channels, shuffled[: len(shuffled) // 2])
        familiar = Familiarity.of(vectors[trained], channels[trained])
        assert familiar is not None
        (other_vectors,) = (other for key, (other, _) in sets.items() if key != name)
        query_sets = (vectors[~trained], other_vectors, noise)
        shares = (f"{(familiar.nearest(queries) < familiar.threshold).mean():.1%}" for queries in query_sets)
        table.add_row(name, f"{familiar.threshold:.2f}", *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
