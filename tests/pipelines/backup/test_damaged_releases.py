"""Tests of a backup of a lab in which releases are damaged."""

from pathlib import Path
from typing import Any

import pytest

from thumblab_core.releases.release import INDEX, Release
from thumblab_pipelines.backup.backup import back_up
from thumblab_pipelines.backup.restore import verify
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(open_lab: Any) -> Lab:
    made: Lab = open_lab()
    return made


def publish(lab: Lab, niche: str) -> Release:
    def write(folder: Path) -> None:
        (folder / "index.faiss").write_text("good")

    return lab.releases.publish(INDEX, niche, write, {})


def test_the_next_backup_keeps_its_copy_of_a_file_that_a_release_lost_or_that_was_cut_short(
    lab: Lab, tmp_path: Path
) -> None:
    backup, names = tmp_path / "backup", ("index.faiss", "manifest.json")
    without = {name: publish(lab, "tech") for name in names}
    cut_short = publish(lab, "tech")
    whole, deleted = publish(lab, "gaming"), publish(lab, "gaming")
    assert back_up(lab, backup).damaged == ()
    for name, release in without.items():
        (release.path / name).unlink()
    (cut_short.path / "index.faiss").write_text("go")
    lab.releases.remove(deleted)
    made = back_up(lab, backup)
    assert set(made.damaged) == {str(release) for release in (*without.values(), cut_short)}
    verify(backup)
    kept = {str(path.relative_to(backup / "releases")) for path in (backup / "releases").rglob("*") if path.is_file()}
    assert kept == {f"{release}/{name}" for release in (*without.values(), cut_short, whole) for name in names}


def test_the_first_backup_names_a_release_that_is_damaged_already(lab: Lab, tmp_path: Path) -> None:
    lost, changed, whole = (publish(lab, "tech") for _ in range(3))
    (lost.path / "index.faiss").unlink()
    (changed.path / "index.faiss").write_text("evil")
    assert set(back_up(lab, tmp_path / "backup").damaged) == {str(lost), str(changed)}
    assert whole.path.is_dir()
