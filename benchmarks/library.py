"""Measure how long it takes until a process can search a library whose rows are in PostgreSQL.

    python -m benchmarks.library [--sizes 150 10000 100000]

A reader is an object that loads a library and searches it, as the scoring service does. Three things are measured:
- the time to build a library and to load it into a reader;
- the time until a reader finds a video that was added after the reader had loaded the library;
- the time of a search, compared with numpy, autofaiss and pgvector.

The database server and the folders are temporary. The first run installs autofaiss in a separate Python environment,
which later runs use again.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from pydantic import SecretStr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.autofaiss_search import DIMENSION, Space, binary, searches
from thumblab_core.database.urls import named_database_url
from thumblab_core.embedded_postgres import server
from thumblab_core.encoders.load import image_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build
from thumblab_pipelines.library.changes import put_in
from thumblab_serving.loading.served_release import Loaded, ServedRelease

SIZES = (150, 10_000, 100_000)
_NICHE = "tech"
_ROUNDS = 3
_UPSERTS = 7
"""The number of new videos that are added one after the other."""
_PER_CHANNEL = 30
"""The number of videos in each channel."""
_LEAST_SEARCHED = 1_000
"""The size of the smallest library in which searches are timed. Smaller sizes in `--sizes` are raised to this size for
the searches.
"""
_POLL_INTERVAL_S = 0.005

_ROWS = f"""
INSERT INTO channels (channel_id, title)
SELECT 'UC' || lpad(n::text, 22, '0'), 'A channel called ' || n
FROM generate_series(CAST(:first AS int) / {_PER_CHANNEL}, :last / {_PER_CHANNEL}) n ON CONFLICT DO NOTHING;
INSERT INTO videos (video_id, niche, channel_id, title, published_at, tags, thumbnail_urls, source, refreshed_at)
SELECT lpad(n::text, 11, '0'), '{_NICHE}', 'UC' || lpad((n / {_PER_CHANNEL})::text, 22, '0'),
       'I tried number ' || n || ' for thirty days and this is what happened', now() - n % 60 * interval '1 day',
       '{{}}', ARRAY['https://i.ytimg.com/vi/' || lpad(n::text, 11, '0') || '/maxresdefault.jpg'], 'catalogue', now()
FROM generate_series(CAST(:first AS int), :last) n;
INSERT INTO video_stats (video_id, observed_at, view_count, era)
SELECT lpad(n::text, 11, '0'), now(), 1000 + n * 7919 % 100000, 'legacy' FROM generate_series(CAST(:first AS int), :last) n;
INSERT INTO thumbnails (video_id, sha256, fetched_at, checked_at)
SELECT lpad(n::text, 11, '0'), encode(sha256(lpad(n::text, 11, '0')::bytea), 'hex'), now(), now()
FROM generate_series(CAST(:first AS int), :last) n;
"""  # noqa: S608  (constants)


def insert(lab: Lab, vectors: Vectors, first: int = 0) -> list[str]:
    """Insert one video for each vector, and return the ids of the videos.

    Each video gets view counts, a thumbnail and one of the vectors. The videos are numbered from `first` on.
    """
    encoder = image_encoder(lab.settings).fingerprint
    ids = [f"{number:011d}" for number in range(first, first + len(vectors))]
    with lab.engine.begin() as connection:
        for statement in _ROWS.split(";\n")[:-1]:
            connection.execute(text(statement), {"first": first, "last": first + len(vectors) - 1})
        cursor: Any = connection.connection.cursor()
        columns = "video_id, encoder, source_digest, vector"
        with cursor.copy(f"COPY embeddings ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("text", "text", "text", "bytea"))
            for video_id, vector in zip(ids, vectors, strict=True):
                copy.write_row((video_id, encoder, hashlib.sha256(video_id.encode()).hexdigest(), binary(vector)))
    return ids


def open_lab(server_settings: Settings, size: int) -> Lab:
    """Return a lab with `size` videos. The lab has its own folder and database."""
    folder = server_settings.data_dir / str(size)
    url = named_database_url(f"library_{size}", settings=server_settings)
    lab_settings = Settings(
        data_dir=folder,
        release_dir=folder / "releases",
        database_url=SecretStr(url),
        image_encoder="builtin",
        index_factory="auto",
        index_recall=0.99,
    )
    lab = Lab.open(lab_settings)
    insert(lab, Space().draw(size))
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Without statistics of the tables, PostgreSQL chooses slow query plans. PostgreSQL itself collects these
        # statistics only after minutes.
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
    compute_baselines(lab, _NICHE)
    return lab


@contextmanager
def clocks(**places: tuple[object, str]) -> Iterator[Counter[str]]:
    """Measure the seconds that some functions take inside the `with` block. Yield a counter of these seconds.

    Each keyword argument stands for one function. The name of the argument is the key of the function's seconds in the
    counter. The value of the argument is a tuple of two items: the module or class that has the function, and the name
    of the function there.
    """
    seconds: Counter[str] = Counter()

    def clocked(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - start  # type: ignore[assignment]

        return timed

    with ExitStack() as stack:
        for name, (owner, attribute) in places.items():
            stack.enter_context(patch.object(owner, attribute, clocked(name, getattr(owner, attribute))))
        yield seconds


def reader(lab: Lab) -> ServedRelease[NicheIndex]:
    """Return an object that loads the library and searches it, as the scoring service does.

    When the pointer names another release, the object loads only what is new in this release.
    """

    encoder = image_encoder(lab.settings)

    def load(release: Release) -> Loaded[NicheIndex]:
        index = NicheIndex.load(release, slot.loaded.value if slot.loaded is not None else None)
        return Loaded(release.release_id, index, encoder)

    slot: ServedRelease[NicheIndex] = ServedRelease(lab.releases, INDEX, _NICHE, load)
    return slot


def serve(lab: Lab) -> tuple[Counter[str], NicheIndex]:
    """Delete all releases. Then build, promote and load the library. Return the seconds of each step, and the index."""
    shutil.rmtree(lab.settings.releases, ignore_errors=True)
    with clocks(
        read=(build, "read_library"),
        build=(NicheIndex, "build"),
        publish=(ReleaseStore, "publish"),
        all=(build, "build_index"),
        promote=(build, "promote_index"),
    ) as seconds:
        build.build_index(lab, _NICHE)
        build.promote_index(lab, _NICHE)
        start = time.perf_counter()
        loaded = reader(lab).current()
        seconds["load"] = time.perf_counter() - start  # type: ignore[assignment]
    assert loaded is not None
    seconds["total"] = seconds["all"] + seconds["promote"] + seconds["load"]
    seconds["digest"] = seconds["all"] - seconds["read"] - seconds["build"] - seconds["publish"]
    return seconds, loaded.value


def serving(labs: dict[int, Lab], console: Console) -> Table:
    """Return a table of the seconds that each step of `serve` takes, for each size of library."""
    parts = ("read", "digest", "build", "publish", "promote", "load", "total")
    title = f"From PostgreSQL to served, seconds; {DIMENSION}-d vectors, synthetic. The fastest of {_ROUNDS}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("vectors", *parts, "recall"):
        table.add_column(column, justify="right", no_wrap=True)
    for size, lab in labs.items():
        console.print(f"serving {size:,}", style="dim")
        seconds, index = min((serve(lab) for _ in range(_ROUNDS)), key=lambda result: result[0]["total"])
        table.add_row(f"{size:,}", *(f"{seconds[part]:.2f}" for part in parts), f"{index.kind.recall:.4f}")
    return table


def upserts(lab: Lab, size: int, console: Console) -> Table:
    """Insert videos one by one, and measure how long a running reader takes to find each video.

    Return a table of the seconds.

    `serving` must be called first, because it builds the library.
    """
    console.print(f"one more into {size:,}", style="dim")
    slot = reader(lab)
    slot.current()
    rounds = []

    def found_at(video_id: str, vector: Vectors) -> float:
        while True:
            serving = slot.current()
            assert serving is not None
            if serving.value.search(vector, 1)[0].item.video_id == video_id:
                return time.perf_counter()
            time.sleep(_POLL_INTERVAL_S)

    with ThreadPoolExecutor(1) as pool:
        for number, vector in enumerate(Space(seed=1).draw(_UPSERTS), start=size):
            search = pool.submit(found_at, f"{number:011d}", vector)
            start = time.perf_counter()
            ids = insert(lab, vector[None], number)
            inserted = time.perf_counter()
            put_in(lab, _NICHE, ids)
            put = time.perf_counter()
            rounds.append((inserted - start, put - inserted, search.result() - start))
    title = f"One more of {size:,}, {_UPSERTS} times: seconds until a running reader finds it"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "its rows", "put_in", "found"):
        table.add_column(column, justify="right")
    for name, measure in (("best", np.min), ("median", np.median), ("worst", np.max)):
        table.add_row(name, *(f"{value:.3f}" for value in measure(rounds, axis=0).tolist()))
    return table


@contextmanager
def temporary_settings() -> Iterator[Settings]:
    """Yield the settings of a temporary lab. After the `with` block, its database server is stopped, and its folder is
    deleted.
    """
    with tempfile.TemporaryDirectory(prefix="thumblab-bench-") as name:
        # If root starts the database server, the server runs as another user. This user must be able to read the
        # folder.
        Path(name).chmod(0o755)
        server_settings = Settings(data_dir=Path(name), release_dir=None, database_url=None)
        try:
            yield server_settings
        finally:
            server.stop(server_settings, force=True)
            home = Path(name) / "postgres"
            if home.is_symlink():
                shutil.rmtree(home.resolve())


def measure(sizes: Sequence[int], with_autofaiss: bool, with_pgvector: bool, console: Console) -> None:
    """Measure the three things that are listed at the top of this module, and print a table of each."""
    with temporary_settings() as server_settings:
        labs = {size: open_lab(server_settings, size) for size in sorted(sizes)}
        console.print(serving(labs, console))
        console.print(upserts(labs[max(sizes)], max(sizes), console))
        searched = sorted({max(size, _LEAST_SEARCHED) for size in sizes})
        urls = {}
        if with_pgvector:
            urls = {size: named_database_url(f"pgvector_{size}", settings=server_settings) for size in searched}
        folder = server_settings.data_dir / "exchange"
        folder.mkdir()
        console.print(searches(searched, folder, urls, with_autofaiss, console))
        for lab in labs.values():
            lab.engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library", description=__doc__)
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        default=list(SIZES),
        help="numbers of vectors; searches use at least 1,000 vectors (default: 150 10000 100000)",
    )
    parser.add_argument("--without-autofaiss", action="store_true", help="do not compare with autofaiss")
    parser.add_argument("--without-pgvector", action="store_true", help="do not compare with pgvector")
    options = parser.parse_args()
    measure(options.sizes, not options.without_autofaiss, not options.without_pgvector, Console())


if __name__ == "__main__":
    main()
