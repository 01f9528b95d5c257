"""Test `thumblab import`, `thumblab evaluate`, `thumblab score` and `dg check defs`, each in its own process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_processes import RunningLab, environment, new_folder, thumblab, write_catalogue

from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import CHECKOUT

pytestmark = pytest.mark.timeout(900)

VIDEOS = 300


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue") / "synthetic"
    write_catalogue(folder, VIDEOS)
    return folder


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """The data folder for the commands that the tests of this module run."""
    with new_folder() as folder:
        yield folder


def small(folder: Path, *broken: str) -> Path:
    """Write a catalogue with 14 good rows into `folder`, and append the lines `broken` to its `videos.csv`."""
    write_catalogue(folder, 14)
    with (folder / "videos.csv").open("a") as file:
        file.writelines(f"{line}\n" for line in broken)
    return folder


@pytest.mark.slow
def test_a_good_catalogue_is_imported_and_a_second_import_finds_nothing_new(data_dir: Path, catalogue: Path) -> None:
    first, second = (thumblab(data_dir, "import", str(catalogue)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    # On a busy machine, the command also prints how many rows it has imported so far. Leave out these lines.
    assert re.sub(r"importing: \d+ of 300\n", "", first.stderr + second.stderr) == ""
    totals = "300 of 300 rows read ({0} new videos, {0} new observations), 0 skipped"
    assert totals.format(VIDEOS) in " ".join(first.stdout.split())
    assert totals.format(0) in " ".join(second.stdout.split())


def test_bad_rows_are_reported_by_line_and_the_good_ones_are_imported(data_dir: Path, tmp_path: Path) -> None:
    folder = small(
        tmp_path / "bad",
        "gone,tech,C,T,5,2026-01-01,2026-02-01,200,,images/none.jpg",
        "minus,tech,C,T,-5,2026-01-01,2026-02-01,200,,images/empty.jpg",
        "empty,tech,C,T,5,2026-01-01,2026-02-01,200,,images/empty.jpg",
    )
    (folder / "images" / "empty.jpg").touch()
    done = thumblab(data_dir, "import", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    printed = " ".join(done.stdout.split())
    assert "14 of 17 rows read" in printed
    assert "3 skipped" in printed
    assert re.search(r"line 16 gone: skipped: .*none\.jpg", printed)
    assert re.search(r"line 17 minus: skipped: views -5 is negative", printed)
    assert re.search(r"line 18 empty: skipped: .*empty\.jpg", printed)


def test_the_json_report_is_the_only_output_on_stdout(data_dir: Path, tmp_path: Path) -> None:
    folder = small(tmp_path / "json", "gone,tech,C,T,5,2026-01-01,2026-02-01,200,,images/none.jpg")
    done = thumblab(data_dir, "import", str(folder), "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["rows"], report["good"]) == (15, 14)
    assert [(p["line"], p["video_id"], p["skipped"]) for p in report["problems"]] == [(16, "gone", True)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "lacks the columns"),
        ("video_id,niche,channel,title,published_on,observed_at,image\n", "lacks the column views"),
        (
            "video_id,niche,channel,title,views,published_on,observed_at,image\nv,tech,C,T,5,2026-01-01,2026-02-01,no.jpg\n",
            "none of the 1 rows",
        ),
    ],
    ids=["empty", "missing column", "no good row"],
)
def test_an_unreadable_catalogue_fails_with_one_sentence(data_dir: Path, tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "videos.csv").write_text(text)
    done = thumblab(data_dir, "import", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("thumblab: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.heavy
def test_evaluating_twice_reads_and_trains_once_and_gives_the_same_figures(data_dir: Path, catalogue: Path) -> None:
    answers = []
    for new in (300, 0):
        done = thumblab(data_dir, "evaluate", "--catalogue", str(catalogue), "--encoder", "builtin", "--json")
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
        read = answers[-1]["catalogue"]
        assert (read.pop("new_videos"), read.pop("new_observations")) == (new, new)
    assert answers[0] == answers[1]  # Equal answers name the same release, so the second command trained no model.
    aucs = [e for e in answers[0]["evaluations"] if e["metric"] == "auc" and e["slice"] in ("all", "2x")]
    simple = {"model", "age", "length", "title", "image", "linear"}
    for split, scorers in (("future", simple), ("new_channels", simple), ("adapted", {"model", "partial_pooling"})):
        for slice_ in ("all", "2x"):
            assert {e["scorer"] for e in aucs if (e["split"], e["slice"]) == (split, slice_)} >= scorers
    for figure in aucs:
        assert figure["pairs"] > 0
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1


def test_evaluating_a_catalogue_leaves_the_labs_own_library_alone(data_dir: Path, catalogue: Path) -> None:
    done = thumblab(data_dir, "evaluate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no model is served yet" in done.stderr
    assert not (data_dir / "releases").exists()


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """The files of three drawn thumbnails, and their common title.

    The code that draws the thumbnails gives each thumbnail a quality. The thumbnail with the highest quality is first.
    """
    folder = tmp_path_factory.mktemp("candidates")
    ranked = sorted(synthetic_catalogue(60).candidates("tech", seed=1), key=lambda c: -c.quality)
    for candidate in ranked:
        (folder / candidate.name).write_bytes(candidate.image)
    return [str(folder / candidate.name) for candidate in ranked], ranked[0].title


def score(lab: RunningLab, candidates: tuple[list[str], str], *more: str, **environment: str) -> Any:
    files, title = candidates
    done = thumblab(
        lab.data_dir,
        "score",
        *files,
        *more,
        *("--title", title, "--niche", "tech", "--json"),
        THUMBLAB_IMAGE_ENCODER="builtin",
        **environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_files_are_ranked_without_a_server_by_the_releases_that_are_served(
    lab: RunningLab, trained: str, candidates: tuple[list[str], str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    answer = score(lab, candidates, str(bad))
    store = ReleaseStore(lab.data_dir / "releases")
    assert answer["releases"] == {
        "model": store.serving.current_id(MODEL, ALL),
        "index": store.serving.current_id(INDEX, "tech"),
    }
    by_id = {thumbnail["id"]: thumbnail for thumbnail in answer["thumbnails"]}
    assert sorted(by_id[file]["rank"] for file in candidates[0]) == [1, 2, 3]
    assert answer["winner"] in candidates[0]
    assert (by_id[str(bad)]["rank"], bool(by_id[str(bad)]["error"])) == (None, True)


def test_the_command_and_the_service_give_the_same_answer(
    lab: RunningLab, trained: str, candidates: tuple[list[str], str]
) -> None:
    offline = score(lab, candidates)
    online = score(lab, candidates, THUMBLAB_SERVING_URL=lab.up.url("scoring"))
    assert (offline["winner"], offline["verdict"], offline["releases"]) == (
        online["winner"],
        online["verdict"],
        online["releases"],
    )
    for thumbnail, other in zip(offline["thumbnails"], online["thumbnails"], strict=True):
        assert thumbnail["score"] == pytest.approx(other["score"], abs=1e-3)
        assert thumbnail["win_probability"] == pytest.approx(other["win_probability"], abs=1e-4)


def test_the_definitions_check_is_clean_and_without_warnings(data_dir: Path) -> None:
    tool = Path(sys.executable).with_name("dg")
    done = subprocess.run(
        [str(tool), "check", "defs"],
        env=environment(data_dir) | {"PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "All definitions loaded successfully" in done.stdout + done.stderr
