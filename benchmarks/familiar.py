"""Which pictures a model would call unlike all it has learnt: `python -m benchmarks.familiar CATALOGUE`.

CATALOGUE is a folder with `videos.csv` and `images/`. It and the synthetic catalogue are encoded with the built-in encoder.
Of each, half of the channels are learnt; asked are the pictures of the other half, those of the other catalogue, and noise.
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
    """The vectors of a catalogue, and their channels."""
    pictures = (decode(catalogue.image(name), encoder.decode_size).pixels for name in catalogue.videos)
    vectors = encoder.encode_prepared([encoder.prepare(picture) for picture in pictures])
    return vectors, np.array([video.channel_id for video in catalogue.videos.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    given = parser.parse_args()
    encoder = named_image_encoder("builtin", Path())
    random = np.random.default_rng(0)
    noise = encoder.encode_images([random.integers(0, 256, (180, 320, 3), np.uint8) for _ in range(20)])
    sets = {
        "synthetic": encoded(synthetic_catalogue(), encoder),
        given.catalogue.name: encoded(read_catalogue(given.catalogue), encoder),
    }
    table = Table(title="Pictures unlike all that was learnt", title_justify="left", box=SIMPLE_HEAD)
    for column in ("learnt", "least cosine", "channels not learnt", "the other catalogue", "noise"):
        table.add_column(column, justify="right")
    for name, (vectors, channels) in sets.items():
        every = random.permutation(np.unique(channels))
        learnt = np.isin(channels, every[: len(every) // 2])
        familiar = Familiarity.of(vectors[learnt], channels[learnt])
        assert familiar is not None
        (other,) = (found for found, _ in (sets[key] for key in sets if key != name))
        asked = (vectors[~learnt], other, noise)
        shares = (f"{(familiar.nearest(queries) < familiar.least).mean():.1%}" for queries in asked)
        table.add_row(name, f"{familiar.least:.2f}", *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
