"""Each stage beside the bare decode, searching beside numpy, encoding beside open_clip. Ratios travel, seconds do not."""

import time
from collections.abc import Callable

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.encoding import MODELS, encoding
from demo.synthetic import synthetic_catalogue
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.protocol import unit
from thumblab_core.images import decode
from thumblab_core.index import Item, NicheIndex
from thumblab_core.sub_scores import Meter, Sample

_IMAGES = 300
_REPEATS = 3
_SIZES = (1_000, 10_000)
_QUERIES = 100


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs: the one that was disturbed least."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def stages() -> Table:
    catalogue = synthetic_catalogue(_IMAGES)
    files = [catalogue.image(video_id) for video_id in catalogue.videos]
    titles = [video.title for video in catalogue.videos.values()]
    pictures = [decode(data).pixels for data in files]
    encoder, sentences, meter = BuiltinEncoder(), title_encoder("minilm"), Meter(None)
    sentences.encode_texts(titles[:1])  # loads the model
    found = {
        "decode and check JPEG": best(lambda: [decode(data) for data in files]),
        "encode, built-in": best(lambda: encoder.encode_images(pictures)),
        "six sub-scores, no face model": best(
            lambda: list(meter.measure_many(Sample(lambda p=p: p) for p in pictures))
        ),
        "encode title, MiniLM": best(lambda: sentences.encode_texts(titles)),
    }
    table = Table(title=f"{_IMAGES} thumbnails of 640x360", title_justify="left", box=SIMPLE_HEAD)
    for column in ("stage", "per second", "times the decode"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    decoding = found["decode and check JPEG"]
    for stage, seconds in found.items():
        table.add_row(stage, f"{_IMAGES / seconds:,.0f}", f"{seconds / decoding:.2f}")
    return table


def searches() -> Table:
    random = np.random.default_rng(0)
    table = Table(title="Top 200 of 768-d vectors, one query at a time", title_justify="left", box=SIMPLE_HEAD)
    for column in ("vectors", "build", "search", "numpy", "numpy / search"):
        table.add_column(column, justify="right")
    for size in _SIZES:
        vectors = unit(random.standard_normal((size, 768)))
        items = [Item(str(number), "", "", None, 1.0, None) for number in range(size)]
        build = best(lambda vectors=vectors, items=items: NicheIndex.build(vectors, items, "bench"))
        index = NicheIndex.build(vectors, items, "bench")
        queries = unit(random.standard_normal((_QUERIES, 768)))
        search = best(lambda index=index, queries=queries: [index.search(query, 200) for query in queries]) / _QUERIES
        plain = best(lambda vectors=vectors, queries=queries: [brute_force(vectors, q) for q in queries]) / _QUERIES
        table.add_row(
            f"{size:,}", f"{build:.2f} s", f"{search * 1e3:.2f} ms", f"{plain * 1e3:.2f} ms", f"{plain / search:.2f}"
        )
    return table


def brute_force(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    similarities = vectors @ query
    nearest = np.argpartition(-similarities, 200)[:200]
    return nearest[np.argsort(-similarities[nearest])]


def main() -> None:
    console = Console()
    console.print(stages())
    console.print(searches())
    console.print(encoding(list(MODELS), None, console))


if __name__ == "__main__":
    main()
