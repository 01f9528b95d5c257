"""Test `thumblab move`, and the backup of a lab whose pictures and releases are in an object store."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from object_store_server import SECRET, S3Server, object_store, running_s3
from planted_catalogue import RED, plant
from pydantic import SecretStr

from thumblab_cli.main import cli
from thumblab_core.database.pictures import named_pictures
from thumblab_core.image_store import ImageFolder
from thumblab_core.image_store.place import object_images
from thumblab_core.releases.release import INDEX
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.backup.copied_files import CopiedFiles
from thumblab_pipelines.backup.from_stores import copy_pictures, copy_scopes
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import silent

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, migrated_database: Callable[[], str], drawn: Any, lab_at: Any) -> Any:
    """A lab in folders, with a few videos, a served index and a served model."""
    made = lab_at(tmp_path_factory.mktemp("mover") / "lab", database_url=SecretStr(migrated_database()))
    made.promote(made.index("tech"))
    made.promote(made.model(channels=("UCown",)))
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {"home": RED}, 12)
    import_catalogue(Lab.open(made.settings), folder)
    return made


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a command with the given settings."""

    def run(chosen: Settings, *arguments: str) -> Result:
        monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(chosen.data_dir))
        for name in ("database_url", "image_store", "release_store"):
            value = getattr(chosen, name)
            monkeypatch.setenv(f"THUMBLAB_{name.upper()}", value.get_secret_value() if value else "")
        settings.cache_clear()
        return CliRunner().invoke(cli, list(arguments))

    yield run
    settings.cache_clear()


def printed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def names(lab: Lab) -> set[str]:
    return {one.sha256 for one in lab.images.stored()}


def test_a_lab_moves_to_a_store_and_its_backup_restores_and_scores_the_same(
    lab: Any, s3: S3Server, shell: Run, draw: Any, run: Any, alike: Any, tmp_path: Path
) -> None:
    images, releases = s3.url("moved", "lab/images"), s3.url("moved", "lab/releases")
    here = Lab.existing(lab.settings)
    told = shell(lab.settings, "move", "--releases", releases, "--pictures", images)
    assert told.exit_code == 0, told.output
    assert "12 pictures copied from" in told.output
    assert "set THUMBLAB_RELEASE_STORE to the URL of s3://moved/lab/releases and THUMBLAB_IMAGE_STORE to" in told.output
    assert SECRET not in told.output
    again = printed(shell(lab.settings, "move", "--releases", releases, "--pictures", images, "--json"))
    assert [(one["copied"], one["there"] > 0) for one in again] == [(0, True), (0, True)]
    there = {"image_store": SecretStr(images), "release_store": SecretStr(releases)}
    stored = lab.settings.model_copy(update=there)
    in_store = Lab.existing(stored)
    assert names(in_store) == names(here)
    served = here.releases.serving.current_id(INDEX, "tech")
    assert in_store.releases.serving.current_id(INDEX, "tech") == served

    backup = tmp_path / "backup"
    made = printed(shell(stored, "backup", str(backup), "--json"))
    assert (made["missing"], made["left_out"]) == ([], [])
    assert "image_store" not in made["settings"]
    assert shell(stored, "backup", str(backup), "--verify").exit_code == 0
    repeated = printed(shell(stored, "backup", str(backup), "--json"))
    assert repeated["kept"] > 12
    assert repeated["copied"] < made["copied"] - 12
    restored = lab.settings.model_copy(update={"database_url": None, "data_dir": tmp_path / "r"})
    refused = shell(restored.model_copy(update=there), "restore", str(backup))
    assert "a lab is restored into folders on this disk; unset THUMBLAB_RELEASE_STORE" in refused.output
    done = shell(restored, "restore", str(backup))
    assert done.exit_code == 0, done.output
    elsewhere = Lab.existing(restored)
    with elsewhere.engine.connect() as connection:
        assert named_pictures(connection) <= names(elsewhere)
    assert elsewhere.releases.serving.current_id(INDEX, "tech") == served
    assert elsewhere.releases.mark(INDEX, "tech") > in_store.releases.place(INDEX, "tech").record().number
    pictures = draw(11), draw(12), draw(13)
    with run(lab.settings) as folder, run(stored) as store, run(restored) as copy:
        answers = [service.score(*pictures, category="tech") for service in (folder, store, copy)]
    assert alike(answers[0], answers[1])
    assert alike(answers[0], answers[2])
    for opened in (here, in_store, elsewhere):
        opened.engine.dispose()


def test_pictures_move_back_to_a_folder_and_a_damaged_one_is_named_as_lost(
    lab: Any, s3: S3Server, shell: Run, tmp_path: Path
) -> None:
    url = s3.url("back", "images")
    away = lab.settings.model_copy(update={"image_store": SecretStr(url)})
    stored = Lab.existing(away)
    good, bad = stored.images.put(b"good" * 99), stored.images.put(b"bad" * 99)
    stored.images.bucket.write(f"{bad[:2]}/{bad[2:]}", b"lie")  # type: ignore[attr-defined]
    stored.images.cache.forget(bad)  # type: ignore[attr-defined]
    [told] = printed(shell(away, "move", "--pictures", "folder", "--json"))
    assert (told["copied"], told["lost"]) == (1, [bad])
    folder = ImageFolder(lab.settings.images)
    assert folder.get(good) == b"good" * 99
    assert not folder.has(bad)
    folder.remove(good)
    stored.engine.dispose()


def test_a_backup_that_was_stopped_downloads_only_what_it_lacks(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Settings(_env_file=None, data_dir=tmp_path / "lab", image_store=s3.url("stopped", "images"))
    images = object_images(chosen, s3.url("stopped", "images"), cache_gib=0)
    whole, damaged, absent = (images.put(data * 99) for data in (b"a", b"b", b"c"))
    target = ImageFolder(tmp_path / "backup" / "images")
    target.put(b"a" * 99)
    target.put(b"b" * 99)
    target.path(damaged).write_bytes(b"x" * 99)
    asked, real = list[str](), type(images).get
    monkeypatch.setattr(type(images), "get", lambda store, sha256: asked.append(sha256) or real(store, sha256))
    files = CopiedFiles(tmp_path / "backup", {})
    copy_pictures(images, files, None, silent)
    assert set(asked) == {damaged, absent}
    assert (files.kept, files.copied) == (1, 2)
    assert sorted(files.sums.values()) == sorted([whole, damaged, absent])
    assert [target.get(name) for name in (whole, damaged, absent)] == [b"a" * 99, b"b" * 99, b"c" * 99]


def test_a_damaged_release_is_named_and_the_backup_keeps_its_earlier_copy(
    s3: S3Server, tmp_path: Path, lab: Any, shell: Run
) -> None:
    url = s3.url("harmed", "releases")
    releases = object_store(url, tmp_path / "cache")
    made = [
        releases.publish("index", "tech", lambda folder: (folder / "a.txt").write_text("good") and None, {})
        for _ in range(2)
    ]
    releases.serving.promote(made[1])
    folder, old = tmp_path / "backup", f"index/tech/{made[0].release_id}"
    first = CopiedFiles(folder, {})
    assert copy_scopes(releases, first, tmp_path / "state-1", silent) == []
    releases.place("index", "tech").places.bucket.write(f"{old}/manifest.json", b"lie")  # type: ignore[attr-defined]
    second = CopiedFiles(folder, first.sums)
    assert copy_scopes(releases, second, tmp_path / "state-2", silent) == [old]
    assert second.sums == first.sums
    away = lab.settings.model_copy(update={"release_store": SecretStr(url), "data_dir": tmp_path / "away"})
    result = shell(away, "move", "--releases", "folder")
    assert result.exit_code == 0, result.output
    assert (
        f"note: 1 releases are lost or damaged in s3://harmed/releases, so they were not copied: {old}" in result.output
    )


def test_pictures_move_to_a_bucket_of_the_same_name_at_another_endpoint(lab: Any, s3: S3Server, shell: Run) -> None:
    url = s3.url("same", "images")
    away = lab.settings.model_copy(update={"image_store": SecretStr(url)})
    result = shell(away, "move", "--pictures", url)
    assert "the pictures are in s3://same/images already; name another place" in result.output
    stored = Lab.existing(away)
    name = stored.images.put(b"here" * 9)
    with running_s3() as other:
        other.url("same")
        there = url.replace(str(s3.port), str(other.port))
        [told] = printed(shell(away, "move", "--pictures", there, "--json"))
        assert told["copied"] == 1
        opened = Lab.existing(lab.settings.model_copy(update={"image_store": SecretStr(there)}))
        assert names(opened) == {name}
        opened.engine.dispose()
    stored.engine.dispose()


def test_releases_do_not_move_to_a_folder_that_contains_the_pictures(lab: Any, s3: S3Server, shell: Run) -> None:
    away = lab.settings.model_copy(update={"image_store": SecretStr(s3.url("above", "lab/images"))})
    result = shell(away, "move", "--releases", s3.url("above", "lab"))
    assert result.exit_code == 1
    assert "need two folders, neither inside the other" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to copy: name a new place with --releases, --pictures or both"),
        (["--pictures", "folder"], " already; name another place"),
        (["--pictures", "http://x/y"], "the URL of the image store must begin with s3://"),
        (["--releases", "s3://b/lab", "--pictures", "s3://b/lab/images"], "need two folders, neither inside the other"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_before_anything_is_copied(
    lab: Any, shell: Run, arguments: list[str], sentence: str
) -> None:
    result = shell(lab.settings, "move", *arguments)
    assert result.exit_code == 1
    assert sentence in result.output
