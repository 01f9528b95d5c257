"""Tests of `thumblab backup` and `thumblab restore`.

A lab is backed up while another thread changes the lab. Then the lab is restored into another folder with another
database server. The restored lab must return the same answers over HTTP.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from planted_catalogue import RED, plant
from pydantic import SecretStr
from sqlalchemy import func, select

from thumblab_cli.main import cli
from thumblab_core.data_folder import RESTORING
from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.keys.generated_key import api_key
from thumblab_core.releases.release import INDEX
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.backup import contents, databases
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.purge import alive_videos
from thumblab_pipelines.run_locks import RunLocks
from thumblab_pipelines.videos.deletion import delete_videos

Shell = Callable[..., Result]


@pytest.fixture(scope="module")
def copied(
    tmp_path_factory: pytest.TempPathFactory, migrated_database: Callable[[], str], drawn: Any, lab_at: Any
) -> Any:
    """A lab with a few videos of a catalogue, a served index and a served model."""
    made = lab_at(tmp_path_factory.mktemp("copied") / "lab", database_url=SecretStr(migrated_database()))
    made.promote(made.index("tech"))
    made.promote(made.model(channels=("UCown",)))
    api_key(made.settings.model_copy(update={"api_key": None}))
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {"home": RED}, 12)
    import_catalogue(Lab.open(made.settings), folder)
    return made


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A function that runs a command with the given settings."""

    def run(chosen: Settings, *arguments: str) -> Result:
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(chosen.data_dir))
        monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")
        url = chosen.database_url
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", url.get_secret_value() if url else "")
        settings.cache_clear()
        return CliRunner().invoke(cli, list(arguments))

    yield run
    settings.cache_clear()


@contextmanager
def writing(made: Any, drawn: Any, folder: Path) -> Iterator[list[int]]:
    """Add and delete videos, pictures and releases of a second niche until the `with` block ends."""
    lab, rounds, stop = Lab.open(made.settings), [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            catalogue = folder / f"round {rounds[0]}"
            ids = plant(catalogue, drawn, {f"guest {rounds[0]}": RED}, 3, seed=1 + rounds[0])
            import_catalogue(lab, catalogue)
            made.promote(made.index("gaming", seed=rounds[0] % 3))
            made.store.prune(INDEX, "gaming", 2)
            with lab.engine.begin() as connection:
                before = named_pictures(connection)
                delete_videos(connection, ids[:2])
                after = named_pictures(connection)
            for sha256 in before - after:
                lab.images.remove(sha256)
            rounds[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while rounds[0] == 0 and thread.is_alive():
            # Wait until the thread has changed the second niche once, so that the backup has data of this niche.
            time.sleep(0.05)
        yield rounds
    finally:
        stop.set()
        thread.join()
    assert rounds[0] > 1, "the test must have changed the lab during the backup"


def printed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_lab_that_is_copied_while_it_changes_gives_the_same_answers_elsewhere(
    copied: Any, shell: Shell, drawn: Any, draw: Any, run: Any, alike: Any, tmp_path: Path
) -> None:
    backup, chosen = tmp_path / "backup", copied.settings
    with writing(copied, drawn, tmp_path / "guests"):
        made = printed(shell(chosen, "backup", str(backup), "--json"))
    assert (made["missing"], made["left_out"]) == ([], [])
    assert backup.stat().st_mode & 0o777 == 0o700
    assert shell(chosen, "backup", str(backup), "--verify").exit_code == 0

    moved = Settings(
        _env_file=None, database_url=None, data_dir=tmp_path / "moved", image_encoder="builtin", api_key=chosen.api_key
    )
    told = printed(shell(moved, "restore", str(backup), "--json"))
    assert told["settings"] == ["image_encoder"]
    there, here = Lab.existing(moved), Lab.existing(chosen)
    with there.engine.connect() as connection:
        assert len(alive_videos(connection)) > 12
        lost = [sha256 for sha256 in named_pictures(connection) if not there.images.path(sha256).is_file()]
        assert lost == []
    served = there.releases.serving.current(INDEX, "gaming")
    assert served is not None
    served.verify()
    assert api_key(Settings(_env_file=None, database_url=None, data_dir=moved.data_dir)) == api_key(
        Settings(_env_file=None, database_url=None, data_dir=chosen.data_dir)
    )
    pictures = draw(11), draw(12), draw(13)
    with run(chosen) as before, run(moved) as after:
        answers = [service.score(*pictures, category="tech") for service in (before, after)]
    assert alike(*answers)
    # The next release of the restored lab must get a higher number than all releases in the backup.
    assert there.releases.mark(INDEX, "gaming") > served.number
    here.engine.dispose()
    there.engine.dispose()


def test_the_next_backup_copies_new_files_and_drops_deleted_ones(copied: Any, shell: Shell, tmp_path: Path) -> None:
    backup, lab = tmp_path / "backup", Lab.open(copied.settings)
    first = printed(shell(copied.settings, "backup", str(backup), "--json"))
    assert printed(shell(copied.settings, "backup", str(backup), "--json"))["kept"] > 12
    with lab.engine.begin() as connection:
        before = named_pictures(connection)
        delete_videos(connection, sorted(alive_videos(connection))[:1])
        (gone,) = before - named_pictures(connection)
    lab.images.remove(gone)
    # A backup that was stopped leaves an unfinished state and half a file. The manifest still names the earlier,
    # complete state.
    (backup / "state-3").mkdir()
    (backup / contents.IMAGES / ".new-half").write_bytes(b"half")
    last = printed(shell(copied.settings, "backup", str(backup), "--json"))
    assert last["copied"] < first["copied"]
    names = {path.name for path in backup.rglob("*")}
    assert gone[2:] not in names
    assert {name for name in names if name.startswith(("state-", ".new"))} == {"state-4"}


def test_a_backup_keeps_the_last_copy_of_a_lost_file(copied: Any, shell: Shell, tmp_path: Path) -> None:
    backup, lab = tmp_path / "backup", Lab.open(copied.settings)
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    files = {
        path: path.read_bytes() for name in contents.FIXED for path in (backup / name).rglob("*") if path.is_file()
    }
    for folder in (lab.settings.releases, lab.settings.images):
        aside = folder.rename(tmp_path / "unmounted")
        result = shell(copied.settings, "backup", str(backup), "--json")
        assert (result.exit_code, f"{folder} is missing, and" in result.output) == (1, True), result.output
        folder.mkdir()
        assert f"{folder} is empty, and" in shell(copied.settings, "backup", str(backup), "--json").output
        folder.rmdir()
        aside.rename(folder)
    with lab.engine.connect() as connection:
        lost = sorted(named_pictures(connection))[:2]
    pictures = [lab.images.path(sha256) for sha256 in lost]
    asides = [path.rename(tmp_path / path.name) for path in pictures]
    lab.engine.dispose()
    (backup / contents.IMAGES / lost[1][:2] / lost[1][2:]).write_bytes(b"damaged too")
    assert printed(shell(copied.settings, "backup", str(backup), "--json"))["missing"] == lost
    assert shell(copied.settings, "backup", str(backup), "--verify").exit_code == 0
    for aside, path in zip(asides, pictures, strict=True):
        aside.rename(path)
    assert printed(shell(copied.settings, "backup", str(backup), "--json"))["missing"] == []
    assert {path: path.read_bytes() for path in files} == files


def test_a_file_that_was_cut_short_in_the_lab_does_not_replace_its_copy(
    copied: Any, shell: Shell, tmp_path: Path
) -> None:
    backup, lab = tmp_path / "backup", copied.settings
    printed(shell(lab, "backup", str(backup), "--json"))
    for name, folder in ((contents.IMAGES, lab.images), (contents.RELEASES, lab.releases)):
        copy = next(path for path in sorted((backup / name).rglob("*")) if path.is_file() and path.stat().st_size)
        whole, harmed = copy.read_bytes(), folder / copy.relative_to(backup / name)
        harmed.write_bytes(whole[:-1])
        printed(shell(lab, "backup", str(backup), "--json"))
        assert copy.read_bytes() == whole
        harmed.write_bytes(whole)
    assert shell(lab, "backup", str(backup), "--verify").exit_code == 0


def test_a_folder_that_cannot_be_read_ends_a_backup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert list(contents.walk(tmp_path / "none")) == []

    def refuse(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        list(contents.walk(tmp_path))


def test_a_damaged_file_of_a_backup_is_copied_again(copied: Any, shell: Shell, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    picture = next(path for path in sorted((backup / contents.IMAGES).rglob("*")) if path.is_file())
    whole = picture.read_bytes()
    # A crash of the machine has left a file of the right size and no manifest.
    picture.write_bytes(bytes(len(whole)))
    (backup / contents.MANIFEST).rename(tmp_path / "manifest")
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    assert picture.read_bytes() == whole
    # The next backup trusts the checksums of the earlier backup, so a person must delete the damaged file that
    # `--verify` names.
    picture.write_bytes(bytes(len(whole)))
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    assert "delete these files and back up again" in shell(copied.settings, "backup", str(backup), "--verify").output
    picture.unlink()
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    assert picture.read_bytes() == whole


def test_a_backup_that_cannot_be_used_is_refused_in_one_sentence(copied: Any, shell: Shell, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    new = Settings(_env_file=None, database_url=None, data_dir=tmp_path / "new")

    def refused(chosen: Settings, *arguments: str) -> str:
        result = shell(chosen, *arguments)
        assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
        return result.output

    assert "is not empty, and a lab is restored only into a new folder" in refused(
        copied.settings, "restore", str(backup)
    )
    other = copied.settings.model_copy(update={"data_dir": tmp_path / "other"})
    assert "the database thumblab has tables already" in refused(other, "restore", str(backup))
    assert not other.data_dir.exists()
    assert "has other files" in refused(copied.settings, "backup", str(Path(__file__).parent))
    assert "is inside the lab" in refused(copied.settings, "backup", str(copied.settings.data_dir / "backup"))
    assert "there is no lab in" in refused(new, "backup", str(tmp_path / "none"))

    manifest = backup / contents.MANIFEST
    said = json.loads(manifest.read_text())
    for field, value, sentence in (
        ("format", 2, "has the format 2, and this version of the lab reads format 1"),
        ("schema", "9999", "(schema 9999), which is newer than the installed version"),
        ("release_format", 99, "(release format 99), which is newer than the installed version"),
        ("state", "../../etc", "which is outside the backup"),
        ("data_dir", None, "is damaged; use another backup"),
    ):
        changed = {name: content for name, content in (said | {field: value}).items() if content is not None}
        manifest.write_text(json.dumps(changed))
        assert sentence in refused(new, "restore", str(backup))
    manifest.write_text(json.dumps(said))

    picture = next(path for path in sorted((backup / contents.IMAGES).rglob("*")) if path.is_file())
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    dump = next((backup / said["state"]).rglob("thumblab.dump"))
    dump.unlink()
    sentence = refused(new, "backup", str(backup), "--verify")
    assert f"{picture.parent.name}/{picture.name} does not match its checksum" in sentence
    assert "thumblab.dump is missing" in sentence
    assert "is damaged" in refused(new, "restore", str(backup))
    assert not new.data_dir.exists(), "nothing was written"
    manifest.unlink()
    assert "has no finished backup: manifest.json is missing" in refused(new, "restore", str(backup))


@pytest.mark.slow
def test_a_stopped_restore_keeps_other_commands_away_and_begins_again(
    copied: Any, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster import DagsterRun, DagsterRunStatus
    from dagster_postgres.run_storage import PostgresRunStorage

    backup, new = tmp_path / "backup", Settings(_env_file=None, database_url=None, data_dir=tmp_path / "new")
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    run = DagsterRun(job_name="refresh_library", status=DagsterRunStatus.STARTED)
    with monkeypatch.context() as patch:

        def killed(url: str) -> None:
            raise KeyboardInterrupt

        patch.setattr(databases, "bring_up_to_date", killed)
        assert shell(new, "restore", str(backup)).exit_code == 130
    with pytest.raises(LabError, match=r"the restore of a lab into .* has not ended"):
        Lab.existing(new)

    def with_a_run(url: str) -> None:
        """Add an unfinished run to the restored database of Dagster, as if the backup had been made during this run."""
        PostgresRunStorage(databases.named_database_url("dagster", "psycopg2", new)).add_run(run)

    monkeypatch.setattr(databases, "bring_up_to_date", with_a_run)
    assert printed(shell(new, "restore", str(backup), "--json"))["interrupted"] == 1
    assert RunLocks(new.data_dir).abandoned(run.run_id), "Dagster's run monitoring must end the run"
    lab = Lab.existing(new)
    with lab.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(videos))
    lab.engine.dispose()


def test_a_repeated_restore_removes_only_the_release_folder_of_the_stopped_one(
    copied: Any, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, new = tmp_path / "backup", Settings(_env_file=None, database_url=None, data_dir=tmp_path / "new")
    printed(shell(copied.settings, "backup", str(backup), "--json"))
    first, live = tmp_path / "first", tmp_path / "live"
    live.mkdir()
    (live / "index").write_text("a live release")

    def killed(*arguments: Any) -> None:
        assert "another process restores" in shell(new, "restore", str(backup)).output
        monkeypatch.setenv("THUMBLAB_RELEASE_DIR", str(live))
        raise KeyboardInterrupt

    monkeypatch.setattr(databases, "url_of", lambda *arguments: "")
    monkeypatch.setattr(databases, "require_empty", lambda *arguments: None)
    monkeypatch.setattr(databases, "prepare", lambda *arguments, own: None)
    monkeypatch.setattr(databases, "restore", killed)
    monkeypatch.setenv("THUMBLAB_RELEASE_DIR", str(first))
    assert shell(new, "restore", str(backup)).exit_code == 130
    assert any(first.iterdir())
    key = new.data_dir / "api-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert f"{live} is not empty" in shell(new, "restore", str(backup)).output
    assert (live / "index").read_text() == "a live release"
    assert not any(first.iterdir())
    assert [path.name for path in new.data_dir.iterdir()] == [RESTORING]
