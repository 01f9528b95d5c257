"""Test the commands `thumblab library clusters` and `thumblab library export` on a map of random points."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from demo.planted_map import planted_map, planted_tile
from thumblab_cli.main import cli
from thumblab_core.library_map.files import LIBRARY_MAP, MapContent, write_map
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

HOSTILE = '=cmd()\x1b[31m [red], "quoted"\nline'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that runs `thumblab library` in a lab with a map of `tech`.

    The first title in the map is hostile: it contains a spreadsheet formula, and codes that change the colours of a
    terminal.
    """
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    settings.cache_clear()
    planted = planted_map(200, "tech")
    points = replace(planted.points, title=[HOSTILE, *planted.points.title[1:]])
    clusters = [planted.clusters[0].model_copy(update={"label": ("[red]",)}), *planted.clusters[1:]]
    content = MapContent(points, clusters, planted.pictures)
    store = ReleaseStore(settings().releases)
    release = store.publish(
        LIBRARY_MAP, "tech", lambda folder: write_map(folder, content, planted_tile), {"videos": 200}
    )
    store.serving.promote(release)

    def library(*arguments: Any) -> Result:
        return CliRunner().invoke(cli, ["library", *map(str, arguments)])

    return library


def test_the_clusters_are_printed_as_a_table_and_as_json(run: Callable[..., Result]) -> None:
    told = run("clusters", "tech")
    assert told.exit_code == 0, told.output
    expected = planted_map(200, "tech").clusters
    assert told.stdout.startswith("200 videos, ")
    assert len([line for line in told.stdout.splitlines() if "elsewhere" in line]) == len(expected)
    assert "[red]" in told.stdout
    document = json.loads(run("clusters", "tech", "--json").stdout)
    assert document["niche"] == "tech"
    assert [one["medoid"] for one in document["clusters"]] == [one.medoid for one in expected]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_map_is_exported_with_all_columns(run: Callable[..., Result], tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"map.{ending}"
    told = run("export", "tech", "--out", out)
    assert told.exit_code == 0, told.output
    assert f"200 videos are in {out}" in told.stderr
    points = planted_map(200, "tech").points
    if ending == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
        # The title is a formula. The exported CSV has an apostrophe before the title, so that a spreadsheet reads the
        # title as text.
        assert rows[0]["title"] == f"'{HOSTILE}"
        unknown = [row["outlier_multiple"] == "" for row in rows]
    else:
        rows = parquet.read_table(out).to_pylist()
        assert rows[0]["title"] == HOSTILE
        unknown = [row["outlier_multiple"] != row["outlier_multiple"] for row in rows]
    assert [row["video_id"] for row in rows] == points.video_id
    assert [float(row["x"]) for row in rows] == pytest.approx(points.x.tolist())
    assert unknown == np.isnan(points.outlier_multiple).tolist()
    assert {"niche", "cluster", "fine_cluster", "title_match", "published_day"} <= set(rows[0])


def test_what_cannot_be_done_is_a_sentence_that_says_what_to_do(run: Callable[..., Result], tmp_path: Path) -> None:
    for arguments, reason in {
        ("clusters", "news"): "no map of news is served yet; run the job map_library",
        ("clusters", "all"): "run the job map_all_libraries",
        ("export", "tech", "--out", str(tmp_path / "map.xlsx")): "must end in .csv or .parquet",
        ("export", "tech", "--out", str(tmp_path / "none" / "map.csv")): "cannot be written",
    }.items():
        told = run(*arguments)
        assert told.exit_code == 1, arguments
        assert reason in told.stderr
        assert "Traceback" not in told.output
    assert run("clusters", "cars").exit_code == 2
