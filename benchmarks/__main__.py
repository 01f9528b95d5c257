"""Run the benchmarks of `make bench`.

The benchmarks measure seven things:
- the speed of the encoders of pictures and titles, and of the sub-scores, compared with the speed of decoding a JPEG
  file;
- the encoding of pictures by open_clip models, compared with the code in open_clip's README;
- the time to build a library from its rows in PostgreSQL and to load it as the scoring service does;
- the search for similar pictures, compared with numpy, autofaiss and pgvector;
- the training of the ranking model, compared with a plain PyTorch loop;
- the answers of the scoring service, compared with a simple FastAPI handler and with the bare computation of an answer;
- the page of the library in a browser: the time to load a map, and the time to draw a frame while the map is moved.

The seconds depend on the machine, so compare only ratios, such as "twice as fast as numpy".

More benchmarks have their own commands. `python -m benchmarks.recipe CATALOGUE` compares variants of the training
recipe on your data. `python -m benchmarks.planted` measures the model on synthetic videos, for which the best possible
result is known. `python -m benchmarks.title_panel` compares models of titles on many real channels.
`python -m benchmarks.image_store` measures how the latency of an object store slows down embedding.
`python -m benchmarks.scale` measures how time and memory grow with the number of vectors.
`python -m benchmarks.title_prior` measures how much a lab with few channels gains if its training starts from a model of
other channels' titles.
"""

import time
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.encoding import MODELS, encoding
from benchmarks.library import SIZES, measure
from benchmarks.library_page.measure import POINTS
from benchmarks.library_page.measure import measure as measure_page
from benchmarks.service.lab import VIT
from benchmarks.service.measure import CLIENTS, ROUNDS
from benchmarks.service.measure import measure as measure_service
from benchmarks.training import EPOCHS, PAIRS, PLAIN_EPOCHS, THREADS, training
from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import decode
from thumblab_core.sub_scores import Meter, Sample

_IMAGES = 300
_REPEATS = 3


def best(work: Callable[[], object]) -> float:
    """Call the function `work` three times, and return the seconds of the fastest call. In that call, other programs
    slowed the function down the least."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def stages() -> Table:
    """Measure how fast the encoders and the meter of sub-scores work on synthetic thumbnails.

    Each time is compared with the time to decode the JPEG file.
    """
    catalogue = synthetic_catalogue(_IMAGES)
    files = [catalogue.image(video_id) for video_id in catalogue.videos]
    titles = [video.title for video in catalogue.videos.values()]
    pictures = [decode(data).pixels for data in files]
    encoder, sentences, meter = BuiltinEncoder(), title_encoder("minilm"), Meter(None)
    sentences.encode_texts(titles[:1])  # The first call also loads the model, so it is not timed.
    seconds_by_stage = {
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
    decoding = seconds_by_stage["decode and check JPEG"]
    for stage, seconds in seconds_by_stage.items():
        table.add_row(stage, f"{_IMAGES / seconds:,.0f}", f"{seconds / decoding:.2f}")
    return table


def main() -> None:
    console = Console()
    console.print(stages())
    console.print(encoding(list(MODELS), None, console))
    measure(SIZES, with_autofaiss=True, with_pgvector=True, console=console)
    console.print(training(PAIRS, EPOCHS, PLAIN_EPOCHS, THREADS))
    measure_service(VIT, CLIENTS, ROUNDS, console)
    measure_page(POINTS, console)


if __name__ == "__main__":
    main()
