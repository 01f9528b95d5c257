"""Tests of a lab whose version changes.

A newer version of the lab opens and updates the data of an older version. An older version does not change the data of
a newer version, and its error names the version that is needed.
"""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from thumblab_cli.main import cli
from thumblab_cli.servers.ports import free_port
from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.revisions import known_revisions, revision_of
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import FORMAT, INDEX, NewerFormatError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.backup.backup import back_up
from thumblab_pipelines.backup.restore import restore, verify
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index, promote_index

SENTENCE = "a newer version of the lab has changed this database (9999); install that version, or use another database"


@pytest.mark.slow
def test_a_lab_of_an_older_version_opens_with_all_that_it_had(tmp_path: Path) -> None:
    # A development version of 0.1.0, with the tables of November 2026, made this lab. The lab has 12 videos of an
    # imported catalogue and their index.
    with tarfile.open(Path(__file__).with_name("lab-of-schema-0008.tar.xz")) as archive:
        archive.extractall(tmp_path / "backup", filter="data")
    chosen = Settings(_env_file=None, database_url=None, data_dir=tmp_path / "lab", image_encoder="builtin")
    assert restore(tmp_path / "backup", chosen).manifest.schema == "0008"
    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        assert revision_of(connection) == known_revisions()[0]
        named = named_pictures(connection)
    assert len(named) == 12
    assert all(lab.images.get(sha256) for sha256 in named)
    served = lab.releases.serving.current(INDEX, "tech")
    assert served is not None
    assert len(NicheIndex.load(served)) == 12
    newer = build_index(lab, "tech").release
    assert promote_index(lab, "tech").release == newer
    back_up(lab, tmp_path / "again")
    assert verify(tmp_path / "again").schema == known_revisions()[0]
    lab.engine.dispose()


@pytest.fixture
def newer_database(migrated_database: Callable[[], str]) -> SecretStr:
    """A database whose tables a newer version of the lab has changed."""
    url = migrated_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    return SecretStr(url)


def test_commands_refuse_a_database_of_a_newer_version_in_a_sentence(
    newer_database: SecretStr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", newer_database.get_secret_value())
    monkeypatch.setenv("THUMBLAB_SERVING_PORT", str(free_port()))
    up = ["up", "--dagster-port", str(free_port()), "--mlflow-port", str(free_port())]
    for command in (
        up,
        ["refresh"],
        ["train"],
        ["index", "status"],
        ["db", "migrate"],
        ["backup", str(tmp_path / "b")],
    ):
        settings.cache_clear()
        result = CliRunner().invoke(cli, command)
        assert (result.exit_code, result.stderr) == (1, f"thumblab: {SENTENCE}\n"), command
    settings.cache_clear()


def test_the_service_scores_without_a_database_of_a_newer_version_and_says_why(
    newer_database: SecretStr, lab_at: Any, run: Any, draw: Any, tmp_path: Path
) -> None:
    made = lab_at(tmp_path / "lab", database_url=newer_database)
    made.promote(made.index("tech"))
    made.promote(made.model())
    with run(made.settings) as service:
        assert service.score(draw(1), draw(2), category="tech")["thumbnails"]
        listed = service.client.get("/v1/experiments")
        assert (listed.status_code, SENTENCE in listed.text) == (503, True), listed.text


def test_releases_of_a_newer_version_are_neither_passed_over_nor_deleted(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    for _ in range(3):
        release = store.publish("model", "all", lambda folder: (folder / "x").write_text("x"), {})
    manifest = release.path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": FORMAT + 1}))
    for use in (
        lambda: store.all("model", "all"),
        lambda: store.latest("model", "all"),
        lambda: store.unchanged("model", "all", "inputs"),
        lambda: store.prune("model", "all", 1),
        lambda: store.discard_unreadable("model", "all"),
    ):
        with pytest.raises(
            NewerFormatError, match=rf"has format {FORMAT + 1}; this version reads up to .* Update the lab"
        ):
            use()
    assert len(list((tmp_path / "model" / "all").glob("2*"))) == 3
