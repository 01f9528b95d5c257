"""Compare the search of the lab with numpy, autofaiss and pgvector.

Each search gets one query, and finds the 200 vectors nearest to it, on one thread. The vectors imitate the vectors of
an image encoder. They form clusters in a space of few dimensions, with noise in all dimensions. The queries have the
same distribution but are not in the library.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.autofaiss_points import K, Point, Search, cheapest, recall, rising, timed
from thumblab_core.arrays import Rows
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.index.base import Base
from thumblab_core.index.changes import Changes
from thumblab_core.index.kinds import parameter_of, set_parameter
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore

DIMENSION = 768
_CLUSTERS, _LATENT = 300, 32
_QUERIES = 500
_TARGET_RECALL = 0.99
"""The recall at which approximate indexes are compared. The setting `index_recall` has this value in this benchmark."""
_PGVECTOR_MAX = 1_000
"""The largest value that pgvector allows for `hnsw.ef_search`."""

# autofaiss needs numpy 1, and newer versions of pyarrow do not support numpy 1. FAISS is installed in the version that
# the lab uses, so that the comparison is fair.
_AUTOFAISS = ["autofaiss==2.18.0", "pyarrow<20", f"faiss-cpu=={version('faiss-cpu')}"]
_VECTOR_HEADER = DIMENSION.to_bytes(2, "big") + bytes(2)


class Space:
    """A random generator of vectors. The same seed gives the same vectors."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._basis = self._random.standard_normal((_LATENT, DIMENSION)).astype(np.float32) / np.float32(_LATENT**0.5)
        self._centres = self._random.standard_normal((_CLUSTERS, _LATENT)).astype(np.float32)

    def draw(self, count: int) -> Vectors:
        """Return random unit vectors, float32 [count, 768]."""
        vectors = np.empty((count, DIMENSION), np.float32)
        for start in range(0, count, 10_000):
            block = vectors[start : start + 10_000]
            centres = self._centres[self._random.integers(0, _CLUSTERS, len(block))]
            latent = centres + np.float32(0.6) * self._random.standard_normal((len(block), _LATENT), np.float32)
            noise = np.float32(0.3) * self._random.standard_normal((len(block), DIMENSION), np.float32)
            block[:] = unit(latent @ self._basis + noise)
        return vectors


@dataclass(frozen=True)
class Task:
    """The vectors of a library, and the vectors of queries for it.

    `truth` contains for each query the row numbers of the 200 vectors nearest to it.
    """

    vectors: Vectors
    queries: Vectors
    truth: Rows

    @classmethod
    def of(cls, size: int) -> "Task":
        """Return a task whose library has `size` vectors."""
        space = Space()
        vectors, queries = space.draw(size), space.draw(_QUERIES)
        k = min(K, size - 1)
        return cls(vectors, queries, np.argpartition(-(queries @ vectors.T), k - 1, axis=1)[:, :k])


@dataclass(frozen=True)
class Contender:
    """The measurements of one search method.

    `seconds` is the time to build and tune the index, or None if the method has no index. `trouble` says why the method
    could not be measured. `trouble` is None if the method was measured.
    """

    name: str
    seconds: float | None
    points: Sequence[Point]
    trouble: str | None = None


class Lab:
    """The lab's search in the library of one niche. The library is loaded from a release, as in the scoring service."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        items = [Item(f"{row:011d}", "", "", None, 1.0, None) for row in range(len(task.vectors))]
        start = time.perf_counter()
        built = Base.build(task.vectors, items)
        self.seconds = time.perf_counter() - start
        index = NicheIndex(built, Changes.none(DIMENSION), np.zeros(0, np.float32), "bench")
        store = ReleaseStore(folder / "releases")
        self._index = NicheIndex.load(store.publish(INDEX, str(len(items)), index.save, index.describe()))
        self.default = self._timed(self._index.kind.value)

    @property
    def name(self) -> str:
        """The name of the lab's search in the table: the word "lab" and the kind of the index."""
        return f"lab, {self._index.kind.factory}"

    @property
    def exact(self) -> bool:
        """Whether the index always finds the true nearest neighbours."""
        return self._index.kind.exact

    def at(self, target: float) -> Point:
        """Measure the search with a recall of at least `target`.

        The smallest value of the search parameter that reaches `target` is used, because a smaller value is faster. An
        exact index has no search parameter.
        """
        name, values = parameter_of(self._index.kind.factory, len(self._index))
        if name is None:
            return self.default
        faiss_index = self._index._base.index  # `NicheIndex` has no method that changes the parameter.

        def recall_at(value: int) -> float:
            set_parameter(faiss_index, name, value)
            return recall(self._search, self._task.queries, self._task.truth)

        value = cheapest(values, recall_at, target)
        set_parameter(faiss_index, name, value)
        return self._timed(value)

    def _timed(self, value: int | None) -> Point:
        setting = "" if value is None else f"{self._index.kind.parameter}={value}"
        return _on_one_thread(self._search, self._task, setting, lambda query: self._index.search(query, K))

    def _search(self, query: Vectors) -> list[int]:
        return [int(neighbour.item.video_id) for neighbour in self._index.search(query, K)]


def numpy_search(task: Task) -> Contender:
    """Measure a search by numpy.

    numpy computes the similarities of the query with all vectors, picks the 200 vectors that are most similar, and
    sorts only these 200.
    """

    def search(query: Vectors) -> Rows:
        similarities = task.vectors @ query
        nearest = np.argpartition(-similarities, K)[:K]
        rows: Rows = nearest[np.argsort(-similarities[nearest])]
        return rows

    return Contender("numpy", None, [_on_one_thread(search, task)])


def _on_one_thread(search: Search, task: Task, setting: str = "", work: Search | None = None) -> Point:
    """Measure `search` on one thread.

    FAISS uses one thread for a single query anyway. numpy would use several threads to multiply a matrix by a vector.
    """
    with threadpool_limits(1, user_api="blas"):
        return timed(search, task.queries, task.truth, setting, work)


def autofaiss(task: Task, target: float, folder: Path) -> Contender:
    """Measure autofaiss in a separate Python environment, which the first call creates inside the lab's environment."""
    python = Path(sys.prefix) / "autofaiss" / "bin" / "python"
    try:
        # The environment may exist without autofaiss, if an earlier run was interrupted during the installation. In
        # this case, install autofaiss again.
        if not python.exists() or subprocess.run([python, "-c", "import autofaiss"], capture_output=True).returncode:
            _run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_AUTOFAISS])
        for name in ("vectors", "queries", "truth"):
            np.save(folder / f"{name}.npy", getattr(task, name))
        _run([str(python), "-m", "benchmarks.autofaiss_child", str(folder), str(target)])
        result = json.loads((folder / "autofaiss.json").read_text())
    except (OSError, subprocess.CalledProcessError) as error:
        message = getattr(error, "stderr", "") or str(error)
        return Contender("autofaiss", None, [], f"cannot be measured here: {message.strip().splitlines()[-1][:100]}")
    return Contender(f"autofaiss, {result['kind']}", result["seconds"], [Point(**point) for point in result["points"]])


def _run(command: list[str]) -> None:
    checkout = Path(__file__).resolve().parents[1]
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=checkout)


def pgvector(task: Task, target: float, url: str) -> Contender:
    """Measure pgvector's HNSW index with its default build parameters, in an empty database."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(f"CREATE TABLE library (row int, vector vector({DIMENSION}))")
        with connection.cursor().copy("COPY library FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int4", "bytea"))
            for row, vector in enumerate(task.vectors):
                copy.write_row((row, binary(vector)))
        # With 2 GB, pgvector can build an index of 100,000 vectors in memory.
        connection.execute("SET maintenance_work_mem = '2GB'")
        # The process that runs CREATE INDEX builds the index together with the workers. Therefore, the number of
        # workers is one below the number of cores.
        connection.execute(f"SET max_parallel_maintenance_workers = {(os.cpu_count() or 1) - 1}")
        start = time.perf_counter()
        connection.execute("CREATE INDEX ON library USING hnsw (vector vector_ip_ops)")
        seconds = time.perf_counter() - start
        connection.execute("VACUUM ANALYZE library")
        connection.execute("SET enable_seqscan = off")
        register_vector(connection)
        cursor = connection.cursor(binary=True)

        def search(query: Vectors) -> list[int]:
            statement = f"SELECT row FROM library ORDER BY vector <#> %b LIMIT {K}"  # noqa: S608  (a constant)
            return [row for (row,) in cursor.execute(statement, (Vector(query),), prepare=True)]

        def recall_at(value: int) -> float:
            connection.execute(f"SET hnsw.ef_search = {value}")
            return recall(search, task.queries, task.truth)

        value = cheapest(rising(K, _PGVECTOR_MAX), recall_at, target)
        recall_at(value)
        point = timed(search, task.queries, task.truth, f"ef_search={value}")
        connection.execute("DROP TABLE library")
    return Contender("pgvector, HNSW", seconds, [point])


def binary(vector: Vectors) -> bytes:
    """Return a vector in the format of PostgreSQL's binary COPY."""
    return _VECTOR_HEADER + vector.astype(">f4").tobytes()


def compare(size: int, folder: Path, url: str | None, with_autofaiss: bool, console: Console) -> list[Contender]:
    """Measure all methods on one library of `size` vectors.

    autofaiss and pgvector are tuned until they reach the recall of the lab's index. If the lab's index is exact, its
    recall is 1, which an approximate index hardly reaches. In this case, autofaiss and pgvector are tuned to the recall
    in the setting `index_recall`. autofaiss is also measured with the search parameter that autofaiss itself chooses.
    An approximate index of the lab is then also tuned to the recall that autofaiss reaches with this parameter.
    """
    console.print(f"searching {size:,}", style="dim")
    task = Task.of(size)
    lab = Lab(task, folder)
    others = [numpy_search(task)]
    points = [lab.default]
    target = _TARGET_RECALL if lab.exact else lab.default.recall
    if with_autofaiss:
        others.append(autofaiss(task, target, folder))
        points += [lab.at(point.recall) for point in others[-1].points[:1] if not lab.exact]
    if url is not None:
        others.append(pgvector(task, target, url))
    return [Contender(lab.name, lab.seconds, points), *others]


def searches(sizes: Sequence[int], folder: Path, urls: dict[int, str], with_autofaiss: bool, console: Console) -> Table:
    title = (
        f"Top {K} of {DIMENSION}-d vectors, {_QUERIES} held-out queries, one at a time, one thread\n"
        f"Synthetic: {_CLUSTERS} clusters, {_LATENT} dimensions, noise. Build in s, p50, p99 in ms"
    )
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for column in ("vectors", "searched by", "build", "setting", "recall", "p50", "p99"):
        table.add_column(column, justify="left" if column in ("searched by", "setting") else "right", no_wrap=True)
    troubles = []
    for size in sizes:
        for contender in compare(size, folder, urls.get(size), with_autofaiss, console):
            if contender.trouble is not None:
                troubles.append(f"{size:,}: {contender.name} {contender.trouble}")
            seconds = "" if contender.seconds is None else f"{contender.seconds:.1f}"
            for number, point in enumerate(contender.points):
                labels = ("", "", "") if number else (f"{size:,}", contender.name, seconds)
                table.add_row(*labels, point.setting, f"{point.recall:.4f}", f"{point.p50:.2f}", f"{point.p99:.2f}")
        table.add_section()
    table.caption = "\n".join(troubles) or None
    return table
