"""The 200 nearest of a library, one query at a time on one thread: the lab's, numpy's, autofaiss's and pgvector's.

Vectors are drawn like an image encoder's: they lie near few dimensions, in clusters, with noise around. Queries are drawn
with them and held out.
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
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.index.base import Base, FaissIds
from thumblab_core.index.changes import Changes
from thumblab_core.index.kinds import parameter_of, set_parameter
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore

DIMENSION = 768
_CLUSTERS, _LATENT = 300, 32
_QUERIES = 500
_ENOUGH = 0.99  # the setting `index_recall`
_PGVECTOR_MOST = 1_000  # hnsw.ef_search takes no more

# autofaiss needs numpy 1, for which no newer pyarrow is; the FAISS beneath is the lab's, so that it is not what differs.
_AUTOFAISS = ["autofaiss==2.18.0", "pyarrow<20", f"faiss-cpu=={version('faiss-cpu')}"]
_VECTOR_HEADER = DIMENSION.to_bytes(2, "big") + bytes(2)


class Space:
    """Where vectors are drawn from; the same seed draws the same."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._basis = self._random.standard_normal((_LATENT, DIMENSION)).astype(np.float32) / np.float32(_LATENT**0.5)
        self._centres = self._random.standard_normal((_CLUSTERS, _LATENT)).astype(np.float32)

    def draw(self, count: int) -> Vectors:
        """Unit vectors, float32 [count, 768]."""
        found = np.empty((count, DIMENSION), np.float32)
        for start in range(0, count, 10_000):
            block = found[start : start + 10_000]
            centres = self._centres[self._random.integers(0, _CLUSTERS, len(block))]
            latent = centres + np.float32(0.6) * self._random.standard_normal((len(block), _LATENT), np.float32)
            noise = np.float32(0.3) * self._random.standard_normal((len(block), DIMENSION), np.float32)
            block[:] = unit(latent @ self._basis + noise)
        return found


@dataclass(frozen=True)
class Task:
    """A library, what is asked of it and the right answers: the rows of the 200 nearest of each query."""

    vectors: Vectors
    queries: Vectors
    truth: FaissIds

    @classmethod
    def of(cls, size: int) -> "Task":
        space = Space()
        vectors, queries = space.draw(size), space.draw(_QUERIES)
        k = min(K, size - 1)
        return cls(vectors, queries, np.argpartition(-(queries @ vectors.T), k - 1, axis=1)[:, :k])


@dataclass(frozen=True)
class Contender:
    """`seconds`: to build, its tuning included; None where nothing is built. `trouble`: why there are no points."""

    name: str
    seconds: float | None
    points: Sequence[Point]
    trouble: str | None = None


class Lab:
    """The library of a niche as a reader has it: loaded from a release, in the folder `releases`."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        items = [Item(f"{row:011d}", "", "", None, 1.0, None) for row in range(len(task.vectors))]
        start = time.perf_counter()
        built = Base.build(task.vectors, items)
        self.seconds = time.perf_counter() - start
        index = NicheIndex(built, Changes.none(DIMENSION), np.zeros(0, np.float32), "bench")
        store = ReleaseStore(folder / "releases")
        self._index = NicheIndex.load(store.publish(INDEX, str(len(items)), index.save, index.describe()))
        self.own = self._timed(self._index.kind.value)

    @property
    def name(self) -> str:
        return f"lab, {self._index.kind.factory}"

    @property
    def exact(self) -> bool:
        return self._index.kind.exact

    def at(self, target: float) -> Point:
        """With the cheapest parameter that finds as many."""
        name, values = parameter_of(self._index.kind.factory, len(self._index))
        if name is None:
            return self.own
        faiss_index = self._index._base.index  # nobody else changes the parameter of a library that was loaded

        def reached(value: int) -> float:
            set_parameter(faiss_index, name, value)
            return recall(self._search, self._task.queries, self._task.truth)

        value = cheapest(values, reached, target)
        set_parameter(faiss_index, name, value)
        return self._timed(value)

    def _timed(self, value: int | None) -> Point:
        setting = "" if value is None else f"{self._index.kind.parameter}={value}"
        return _alone(self._search, self._task, setting, lambda query: self._index.search(query, K))

    def _search(self, query: Vectors) -> list[int]:
        return [int(found.item.video_id) for found in self._index.search(query, K)]


def numpy_search(task: Task) -> Contender:
    def search(query: Vectors) -> FaissIds:
        similarities = task.vectors @ query
        nearest = np.argpartition(-similarities, K)[:K]
        found: FaissIds = nearest[np.argsort(-similarities[nearest])]
        return found

    return Contender("numpy", None, [_alone(search, task)])


def _alone(search: Search, task: Task, setting: str = "", work: Search | None = None) -> Point:
    """On one thread; FAISS keeps to one by itself, but numpy shares the product of a matrix and a vector."""
    with threadpool_limits(1, user_api="blas"):
        return timed(search, task.queries, task.truth, setting, work)


def autofaiss(task: Task, target: float, folder: Path) -> Contender:
    """By itself, in an environment of its own, which is made inside the lab's once."""
    python = Path(sys.prefix) / "autofaiss" / "bin" / "python"
    try:
        # Asked of the environment, and not of the folder: an installation that was cut short is done again.
        if not python.exists() or subprocess.run([python, "-c", "import autofaiss"], capture_output=True).returncode:
            _run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_AUTOFAISS])
        for name in ("vectors", "queries", "truth"):
            np.save(folder / f"{name}.npy", getattr(task, name))
        _run([str(python), "-m", "benchmarks.autofaiss_child", str(folder), str(target)])
        said = json.loads((folder / "autofaiss.json").read_text())
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "") or str(error)
        return Contender("autofaiss", None, [], f"cannot be measured here: {told.strip().splitlines()[-1][:100]}")
    return Contender(f"autofaiss, {said['kind']}", said["seconds"], [Point(**point) for point in said["points"]])


def _run(command: list[str]) -> None:
    checkout = Path(__file__).resolve().parents[1]
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=checkout)


def pgvector(task: Task, target: float, url: str) -> Contender:
    """Its HNSW index with the parameters it has by itself, in an empty database."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(f"CREATE TABLE library (row int, vector vector({DIMENSION}))")
        with connection.cursor().copy("COPY library FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int4", "bytea"))
            for row, vector in enumerate(task.vectors):
                copy.write_row((row, binary(vector)))
        connection.execute("SET maintenance_work_mem = '2GB'")  # enough to build 100,000 in memory
        connection.execute(
            f"SET max_parallel_maintenance_workers = {(os.cpu_count() or 1) - 1}"
        )  # the leader works too
        start = time.perf_counter()
        connection.execute("CREATE INDEX ON library USING hnsw (vector vector_ip_ops)")
        seconds = time.perf_counter() - start
        connection.execute("VACUUM ANALYZE library")
        connection.execute("SET enable_seqscan = off")
        register_vector(connection)
        cursor = connection.cursor(binary=True)

        def search(query: Vectors) -> list[int]:
            statement = f"SELECT row FROM library ORDER BY vector <#> %b LIMIT {K}"  # noqa: S608  (a number of ours)
            return [row for (row,) in cursor.execute(statement, (Vector(query),), prepare=True)]

        def reached(value: int) -> float:
            connection.execute(f"SET hnsw.ef_search = {value}")
            return recall(search, task.queries, task.truth)

        value = cheapest(rising(K, _PGVECTOR_MOST), reached, target)
        reached(value)
        point = timed(search, task.queries, task.truth, f"ef_search={value}")
        connection.execute("DROP TABLE library")
    return Contender("pgvector, HNSW", seconds, [point])


def binary(vector: Vectors) -> bytes:
    """As PostgreSQL takes it from a binary COPY."""
    return _VECTOR_HEADER + vector.astype(">f4").tobytes()


def compare(size: int, folder: Path, url: str | None, with_autofaiss: bool, console: Console) -> list[Contender]:
    """All of them on one library; those that have a parameter also where they find as many as the lab does.

    Where the lab is exact, it is as many as it would be content with: an approximate index is not made to find them all.
    """
    console.print(f"searching {size:,}", style="dim")
    task = Task.of(size)
    built = Lab(task, folder)
    found = [numpy_search(task)]
    points = [built.own]
    target = _ENOUGH if built.exact else built.own.recall
    if with_autofaiss:
        found.append(autofaiss(task, target, folder))
        points += [built.at(point.recall) for point in found[-1].points[:1] if not built.exact]
    if url is not None:
        found.append(pgvector(task, target, url))
    return [Contender(built.name, built.seconds, points), *found]


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
            for at, point in enumerate(contender.points):
                who = ("", "", "") if at else (f"{size:,}", contender.name, seconds)
                table.add_row(*who, point.setting, f"{point.recall:.4f}", f"{point.p50:.2f}", f"{point.p99:.2f}")
        table.add_section()
    table.caption = "\n".join(troubles) or None
    return table
