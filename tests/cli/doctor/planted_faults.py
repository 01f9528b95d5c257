"""Faults that tests plant in a lab, each with the text that `thumblab doctor` must print about the fault."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Level
from thumblab_cli.doctor.machine import Room
from thumblab_core.monitoring.watch_state import Delivery, Message, changing_state
from thumblab_core.releases.release import FACE_HEAD, INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts.book import Failed, record

GIB = 2**30
PASSWORD = "PasswordOfTheDatabase"
KEY = "AIzaSecretOfTheTests" + "x" * 19


@dataclass(frozen=True)
class Patient:
    """A healthy lab in which a test plants a fault.

    `examined` contains the settings of the lab and the facts about the lab's machine.
    """

    examined: Examined
    copied: Callable[[str], str]
    """A function that takes the URL of a database, copies the database, and returns the URL of the copy."""

    @property
    def folder(self) -> Path:
        return self.examined.settings.data_dir

    def with_settings(self, **changes: Any) -> "Patient":
        settings = self.examined.settings
        fields = {name: getattr(settings, name) for name in settings.model_fields_set} | changes
        return replace(self, examined=replace(self.examined, settings=Settings(_env_file=None, **fields)))

    def with_machine(self, **changes: Any) -> "Patient":
        return replace(self, examined=replace(self.examined, machine=replace(self.examined.machine, **changes)))

    def with_database_after(self, statement: str) -> "Patient":
        """Copy the lab's database, run the SQL statement in the copy, and return the lab with the copied database."""
        own = self.examined.settings.database_url
        assert own is not None
        url = self.copied(own.get_secret_value())
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement.format(database=make_url(url).database)))
        engine.dispose()
        return self.with_settings(database_url=SecretStr(url))


def old_python(patient: Patient) -> Patient:
    return patient.with_machine(python="3.10.4")


def full_disk(patient: Patient) -> Patient:
    return patient.with_machine(room=lambda _: Room(GIB // 2, None))


def no_inodes(patient: Patient) -> Patient:
    return patient.with_machine(room=lambda _: Room(100 * GIB, 12))


def little_memory(patient: Patient) -> Patient:
    return patient.with_machine(memory=GIB)


def file_as_folder(patient: Patient) -> Patient:
    shutil.rmtree(patient.folder)
    patient.folder.write_text("")
    return patient


def open_key(patient: Patient) -> Patient:
    (patient.folder / "api-key").write_text("key\n")
    (patient.folder / "api-key").chmod(0o644)
    return patient


def unknown_host(patient: Patient) -> Patient:
    return patient.with_settings(serving_host="lab.invalid")


def closed_database(patient: Patient) -> Patient:
    return patient.with_settings(database_url=SecretStr(f"postgresql://lab:{PASSWORD}@127.0.0.1:1/thumblab"))


def no_extension(patient: Patient) -> Patient:
    return patient.with_database_after("DROP EXTENSION vector CASCADE")


def old_tables(patient: Patient) -> Patient:
    return patient.with_database_after("DELETE FROM alembic_version")


def new_tables(patient: Patient) -> Patient:
    return patient.with_database_after("UPDATE alembic_version SET version_num = 'from_the_future'")


def read_only_database(patient: Patient) -> Patient:
    return patient.with_database_after("ALTER DATABASE {database} SET default_transaction_read_only = on")


def no_weights(patient: Patient) -> Patient:
    return patient.with_settings(image_encoder="onnx:/nowhere/tower.onnx")


def no_title_model(patient: Patient) -> Patient:
    return patient.with_settings(title_encoder="/nowhere/titles")


def no_face_model(patient: Patient) -> Patient:
    return patient.with_settings(face_model=None)


def damaged_face_model(patient: Patient) -> Patient:
    (patient.folder / "models").mkdir()
    (patient.folder / "models" / "face_detection_yunet_2026may.onnx").write_bytes(b"version https://git-lfs")
    return patient.with_settings(face_model=None)


def cut_key(patient: Patient) -> Patient:
    return patient.with_settings(youtube_api_key=SecretStr(KEY[:-1]))


def no_key(patient: Patient) -> Patient:
    return patient.with_database_after("UPDATE videos SET source = 'youtube'").with_settings(youtube_api_key=None)


def spent_quota(patient: Patient) -> Patient:
    from thumblab_pipelines.youtube.quota import pacific_day

    day = pacific_day(patient.examined.machine.now())
    return patient.with_database_after(
        f"INSERT INTO quota_ledger (day, bucket, spent) VALUES ('{day}', 'searches', 100)"
    )


def late_clock(patient: Patient) -> Patient:
    now = patient.examined.machine.now
    return patient.with_machine(now=lambda: now() - timedelta(days=30))


def late_clock_without_database(patient: Patient) -> Patient:
    return late_clock(patient).with_settings(database_url=None)


def proxy_without_exceptions(patient: Patient) -> Patient:
    return patient.with_machine(environment={"https_proxy": f"http://user:{PASSWORD}@127.0.0.1:1"})


def missed_refresh(patient: Patient) -> Patient:
    now = patient.examined.machine.now
    return patient.with_machine(now=lambda: now() + timedelta(days=3))


def missed_training(patient: Patient) -> Patient:
    now = patient.examined.machine.now
    return patient.with_machine(now=lambda: now() + timedelta(days=30))


def held_index(patient: Patient) -> Patient:
    store = ReleaseStore(patient.folder / "releases")
    served = store.serving.current(INDEX, "tech")
    assert served is not None
    store.serving.hold(served, "rolled back from a to b")
    return patient


def damaged_index(patient: Patient) -> Patient:
    release = next((patient.folder / "releases" / "index" / "tech").glob("2*"))
    (release / "items.json").write_text("[]")
    return patient


def damaged_head(patient: Patient) -> Patient:
    def write(folder: Path) -> None:
        (folder / "head.safetensors").write_bytes(b"whole")

    store = ReleaseStore(patient.folder / "releases")
    release = store.publish(FACE_HEAD, "face-0123", write, {})
    store.serving.promote(release)
    (release.path / "head.safetensors").write_bytes(b"cut")
    return patient


def no_model(patient: Patient) -> Patient:
    (patient.folder / "releases" / "model" / "all" / "CURRENT").write_text("")
    return patient


def other_encoder(patient: Patient) -> Patient:
    return patient.with_settings(image_encoder="onnx:/nowhere/tower.onnx")


ERROR, WARNING = Level.ERROR, Level.WARNING


def open_alert(patient: Patient) -> Patient:
    now = datetime.now(UTC)
    with changing_state(patient.folder) as state:
        failed = Failed("disk", "tech", "refresh_library of tech failed", "the disk is full", "Make room.", now)
        assert list(record(state, [failed])) == []
    return patient


def silent_chat(patient: Patient) -> Patient:
    now = datetime.now(UTC)
    message = Message(title="A failure")
    with changing_state(patient.folder) as state:
        state.deliveries.append(
            Delivery(channel="webhook", message=message, made_at=now, next_at=now, attempts=1, problem="answered 404")
        )
    return patient


FAULTS: list[tuple[Callable[[Patient], Patient], str, Level, str, str]] = [
    (old_python, "python", ERROR, "this is Python 3.10.4; the lab needs", "make setup"),
    (full_disk, "disk", ERROR, "the data folder has 0.5 GiB left", "THUMBLAB_DATA_DIR"),
    (no_inodes, "disk", ERROR, "room for only 12 more files", "delete files"),
    (little_memory, "memory", ERROR, "1.0 GiB of memory", "more memory"),
    (unknown_host, "servers", ERROR, "lab.invalid, which is not a known name", "THUMBLAB_SERVING_HOST"),
    (file_as_folder, "folder", ERROR, "is not a folder", "THUMBLAB_DATA_DIR"),
    (open_key, "folder", WARNING, "other users of this machine can read", "chmod 600"),
    (closed_database, "database", ERROR, "The database does not answer", "THUMBLAB_DATABASE_URL"),
    (no_extension, "database", ERROR, "the extension vector is missing", "thumblab db migrate"),
    (old_tables, "database", WARNING, "the lab has no tables yet", "thumblab db migrate"),
    (new_tables, "database", ERROR, "a newer version of the lab has changed the tables (from_the_future)", "install"),
    (read_only_database, "database", ERROR, "the database is read-only", "primary"),
    (no_weights, "image encoder", ERROR, "lacks /nowhere/tower.onnx", "put the missing file into this folder"),
    (no_title_model, "title encoder", ERROR, "no model in the folder /nowhere/titles", "THUMBLAB_TITLE_ENCODER=minilm"),
    (no_face_model, "face model", WARNING, "there is no face detector", "thumblab models pull"),
    (damaged_face_model, "face model", ERROR, "is damaged", "thumblab models pull"),
    (cut_key, "API key", WARNING, "it has 38 characters", "copy the key again"),
    (no_key, "API key", ERROR, "deleted after 30 days", "THUMBLAB_YOUTUBE_API_KEY"),
    (spent_quota, "quota", WARNING, "today's 100 searches of YouTube's quota are spent", "run again after"),
    (late_clock, "clock", ERROR, "behind that of the database", "timedatectl set-ntp true"),
    (late_clock_without_database, "clock", ERROR, "was made later", "timedatectl set-ntp true"),
    (proxy_without_exceptions, "proxy", ERROR, "the proxy 127.0.0.1:1 does not answer", "unset https_proxy"),
    (proxy_without_exceptions, "proxy", WARNING, "no_proxy lacks 127.0.0.1, localhost", "export no_proxy="),
    (missed_refresh, "refreshes", WARNING, "tech was last refreshed 3 days ago", "thumblab refresh tech"),
    (open_alert, "alerts", WARNING, "refresh_library of tech failed: the disk is full", "alert close disk"),
    (
        silent_chat,
        "alerts",
        WARNING,
        "the alert channel webhook refuses messages (1 waiting): answered 404",
        "alert test",
    ),
    (damaged_index, "releases", ERROR, "items.json does not match its checksum", "thumblab index rebuild tech"),
    (damaged_head, "releases", ERROR, "head.safetensors does not match its checksum", "thumblab people train"),
    (
        held_index,
        "holds",
        WARNING,
        "the index of tech is held, so no newer index is served: rolled back from a to b, since 20",
        "thumblab index resume tech",
    ),
    (no_model, "model", WARNING, "no ranking model is served", "thumblab refresh"),
    (missed_training, "model", WARNING, "the served model is 30 days old", "thumblab refresh"),
    (other_encoder, "model", WARNING, "trained with the encoder builtin", "THUMBLAB_IMAGE_ENCODER=builtin"),
]
