"""Tests of retention in a lab whose settings name the database of another lab."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from full_lab import NICHE, FullLab
from pydantic import SecretStr

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, INDEX, PAIRS
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.lab_clean_up import clean_lab
from thumblab_pipelines.retention.retention import retain
from thumblab_pipelines.retention.retired import retain_retired_niches

REFUSED = "check that it is the database of this lab"


@pytest.fixture
def moved(full: FullLab, open_lab: Callable[..., Lab], migrated_database: Callable[[], str]) -> Lab:
    """The full lab with an empty database. All its pictures are old enough to be deleted."""
    for path in (full.lab.settings.data_dir / "images").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return open_lab(full.lab, database_url=SecretStr(migrated_database()))


def stored(lab: Lab) -> tuple[int, int, set[Path]]:
    indices, pairs = lab.releases.all(INDEX, NICHE), lab.releases.all(PAIRS, ALL)
    return len(indices), len(pairs), {path for path in (lab.settings.data_dir / "images").rglob("*") if path.is_file()}


def test_no_retention_deletes_anything_until_a_person_confirms(full: FullLab, moved: Lab) -> None:
    before = stored(full.lab)
    assert all(before)
    for clean in (lambda: retain(moved, NICHE), lambda: clean_lab(moved), lambda: retain_retired_niches(moved)):
        with pytest.raises(LabError, match=REFUSED):
            clean()
    full.lab.releases.serving.withdraw(INDEX, NICHE)
    with pytest.raises(LabError, match=REFUSED):
        clean_lab(moved)
    assert stored(full.lab) == before
    retain(moved, NICHE, confirmed=True)
    clean_lab(moved, confirmed=True)
    assert stored(full.lab) == (0, 0, set())


def test_a_new_lab_without_pictures_may_be_cleaned(open_lab: Callable[..., Lab]) -> None:
    lab = open_lab()
    retain(lab, NICHE)
    assert clean_lab(lab).pictures == 0
