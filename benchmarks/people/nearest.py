"""Measure how long it takes to find the faces nearest to a face: by pgvector, and by FAISS.

    python -m benchmarks.people.nearest [--faces 100000] [--people 2000] [--queries 100] [--nearest 50]

The faces are random vectors. They are stored in a lab in a temporary folder, with an embedded database. Two FAISS
indexes are compared with pgvector. `faiss, in memory` is an exact index. `faiss, a release` is the index that the
library would use: `thumblab_core.index` chooses the index, tunes it and measures its recall. Both indexes read the
vectors from the database first.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from benchmarks.people.planted_faces import planted_faces
from thumblab_core.arrays import Float32s
from thumblab_core.index.base import Base
from thumblab_core.index.items import Item
from thumblab_core.index.kinds import flat
from thumblab_core.people.clustering import faces_for_clustering
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab

EMBEDDER = "face-planted"

_NEAREST = text("""
SELECT face_id FROM face_embeddings WHERE embedder = :embedder AND vector IS NOT NULL
ORDER BY vector <#> CAST(:vector AS vector) LIMIT :most
""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("faces", 100_000), ("people", 2_000), ("queries", 100), ("nearest", 50)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    planted, _ = planted_faces(given.faces, given.people)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.open(Settings(_env_file=None, data_dir=Path(folder) / "lab", image_encoder="builtin"))
        with lab.engine.begin() as connection:
            plant(connection, planted.vectors)
        with lab.engine.connect() as connection:
            Console(width=120).print(compared(connection, given.queries, given.nearest))
        lab.engine.dispose()


def plant(connection: Connection, vectors: Float32s) -> None:
    """Store one picture for each vector. Each picture has one face."""
    numbers = range(len(vectors))
    many = {"count": len(vectors)}
    connection.execute(
        text("""
INSERT INTO face_pictures (sha256, detector, face_count, searched_at)
SELECT lpad(to_hex(n), 64, '0'), 'planted', 1, now() FROM generate_series(0, :count - 1) n
"""),
        many,
    )
    connection.execute(
        text("""
INSERT INTO faces (face_id, sha256, detector, x0, y0, x1, y1, landmarks, confidence, quality, detected_at)
SELECT lpad(to_hex(n), 24, '0'), lpad(to_hex(n), 64, '0'), 'planted', 0, 0, 1, 1,
  array_fill(0.5::float8, ARRAY[10]), 1, 1, now() FROM generate_series(0, :count - 1) n
"""),
        many,
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor().copy("COPY face_embeddings (face_id, embedder, vector) FROM STDIN") as copy:
        for number in numbers:
            copy.write_row((f"{number:024x}", EMBEDDER, _text(vectors[number])))
    connection.execute(text("ANALYZE"))


def compared(connection: Connection, queries: int, most: int) -> Table:
    """Return a table with the times and the recall of each way to search."""
    table = Table("", "ready after s", "CPU s", "ms per query", "recall", "bytes on disk", box=SIMPLE_HEAD)
    given, read_s, read_cpu = timed(lambda: faces_for_clustering(connection, EMBEDDER))
    rows = np.random.default_rng(2).choice(len(given.face_ids), queries, replace=False)
    asked = given.vectors[rows]
    nearest = np.argsort(-(asked @ given.vectors.T), axis=1, kind="stable")[:, :most]
    true = [{given.face_ids[row] for row in found} for found in nearest]

    def row(name: str, ready: tuple[float, float], size: int, find: Callable[[Float32s], set[str]]) -> None:
        find(asked[0])
        found, seconds, _ = timed(lambda: [find(vector) for vector in asked])
        recall = np.mean([len(one & other) / most for one, other in zip(true, found, strict=True)])
        table.add_row(
            name, *(f"{each:.1f}" for each in ready), f"{1000 * seconds / queries:.2f}", f"{recall:.4f}", f"{size:,}"
        )

    def by_database(vector: Float32s) -> set[str]:
        asked_for = {"embedder": EMBEDDER, "vector": _text(vector), "most": most}
        return set(connection.scalars(_NEAREST, asked_for))

    row("pgvector", (0.0, 0.0), 0, by_database)
    exact, exact_s, exact_cpu = timed(lambda: flat(given.vectors))
    row(
        "faiss, in memory",
        (read_s + exact_s, read_cpu + exact_cpu),
        0,
        lambda vector: {given.face_ids[each] for each in exact.search(vector[None], most)[1][0]},
    )
    items = [Item(face_id, "", "", None, 0.0, None) for face_id in given.face_ids]
    base, base_s, base_cpu = timed(lambda: Base.build(given.vectors, items))
    size = given.vectors.nbytes + _index_bytes(base)
    row(
        f"faiss, a release ({base.kind.factory})",
        (read_s + base_s, read_cpu + base_cpu),
        size,
        lambda vector: {items[each].video_id for each in base.nearest(vector, most)[1]},
    )
    return table


def _index_bytes(base: Base) -> int:
    import faiss

    return len(faiss.serialize_index(base.index))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Call `work`. Return its result, the seconds on the clock, and the processor seconds of this process."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - processor


def _text(vector: Float32s) -> str:
    return f"[{','.join(f'{number:.7g}' for number in vector.tolist())}]"


if __name__ == "__main__":
    main()
