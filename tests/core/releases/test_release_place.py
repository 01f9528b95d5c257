"""Test that the settings determine where the releases are stored."""

import sys
from pathlib import Path

import pytest
from object_store_server import SECRET, url_at

from thumblab_core.errors import LabError
from thumblab_core.releases.place import polled_place, release_place, shown_place
from thumblab_core.releases.scope_objects import ObjectPlaces
from thumblab_core.settings import Settings

_URL = url_at("http://127.0.0.1:9", "lab-place")


def in_store(folder: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder, release_store=_URL)


def test_releases_are_in_the_folder_unless_a_store_is_set(tmp_path: Path) -> None:
    for given in ({}, {"release_store": ""}):
        settings = Settings(_env_file=None, data_dir=tmp_path, **given)
        assert release_place(settings) == polled_place(settings) == tmp_path / "releases"


def test_a_store_has_its_cache_in_the_data_folder_and_is_shown_without_credentials(tmp_path: Path) -> None:
    place = release_place(in_store(tmp_path))
    assert isinstance(place, ObjectPlaces)
    assert place.cache.folder == tmp_path / "release-cache"
    assert shown_place(in_store(tmp_path)) == str(place) == "s3://lab-place/lab/releases"


def test_code_that_needs_a_folder_says_so_instead_of_using_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="works only with releases in a folder") as raised:
        _ = in_store(tmp_path).releases
    assert SECRET not in str(raised.value)


def test_another_lab_does_not_share_the_store(tmp_path: Path) -> None:
    other = in_store(tmp_path).in_folder(tmp_path / "other")
    assert release_place(other) == tmp_path / "other" / "releases"


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(LabError, match=r"pip install 'thumblab\[object-store\]'"):
        release_place(in_store(tmp_path / "without"))
