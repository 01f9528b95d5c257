"""Test that `thumblab doctor` finds each of many planted faults in a real small lab, and nothing in a healthy one."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from served_model import publish_model
from sqlalchemy import create_engine, make_url, text

from thumblab_cli.doctor import examine as examining
from thumblab_cli.doctor.examine import CHECKS, Check, examine
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, Level, fine
from thumblab_cli.doctor.machine import Machine, Room
from thumblab_cli.main import cli
from thumblab_core.settings import Settings, settings

GIB = 2**30
PASSWORD = "PasswordOfTheDatabase"
KEY = "AIzaSecretOfTheTests" + "x" * 19


@dataclass(frozen=True)
class Patient:
    """A healthy lab, whose faults a test plants: its settings, its machine, and its database."""

    examined: Examined
    database: str

    @property
    def folder(self) -> Path:
        return self.examined.settings.data_dir

    def with_settings(self, **changes: Any) -> "Patient":
        settings = self.examined.settings
        fields = {name: getattr(settings, name) for name in settings.model_fields_set} | changes
        return replace(self, examined=replace(self.examined, settings=Settings(_env_file=None, **fields)))

    def with_machine(self, **changes: Any) -> "Patient":
        return replace(self, examined=replace(self.examined, machine=replace(self.examined.machine, **changes)))

    def run(self, statement: str) -> None:
        engine = create_engine(self.database, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="module")
def lab(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]]) -> Any:
    """A lab with one small served library and a served model."""
    from thumblab_pipelines.library.build import build_index, promote_index

    made, _ = lab_with_pairs(channels=1, videos=12)
    build_index(made, "tech")
    promote_index(made, "tech")
    publish_model(made.releases)
    made.engine.dispose()
    return made


@pytest.fixture
def patient(lab: Any, tmp_path: Path, copied_database: Callable[[str], str]) -> Patient:
    """The lab in a copy of its folder, with a copy of its database. A test may damage both."""
    shutil.copytree(lab.settings.data_dir, tmp_path / "lab", ignore=shutil.ignore_patterns("catalogue"))
    (tmp_path / "face.onnx").write_bytes(b"\x08" * 9)
    url = copied_database(lab.settings.database_url.get_secret_value())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chosen = Settings(
        _env_file=None,
        data_dir=tmp_path / "lab",
        database_url=SecretStr(url),
        image_encoder="builtin",
        face_model=tmp_path / "face.onnx",
        youtube_api_key=SecretStr(KEY),
        serving_port=port,
    )
    machine = replace(
        Machine.this(),
        python="3.11.7",
        memory=16 * GIB,
        free_memory=8 * GIB,
        environment={},
        room=lambda _: Room(100 * GIB, 10_000_000),
    )
    return Patient(Examined(chosen, machine), url)


def faults(patient: Patient, name: str | None = None) -> dict[str, list[Finding]]:
    """Return the warnings and errors of all checks, or of the check `name` alone."""
    checks = [check for check in CHECKS if name in (None, check.name)]
    found = {
        result.name: [finding for finding in result.findings if finding.mend is not None]
        for result in examine(patient.examined, checks)
    }
    return {name: findings for name, findings in found.items() if findings}


def test_a_healthy_lab_has_no_fault_and_nothing_in_it_changes(patient: Patient) -> None:
    before = sorted((str(path), path.stat().st_mtime_ns) for path in patient.folder.rglob("*") if path.is_file())
    assert faults(patient) == {}
    assert (
        sorted((str(path), path.stat().st_mtime_ns) for path in patient.folder.rglob("*") if path.is_file()) == before
    )


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
    patient.run("DROP EXTENSION vector CASCADE")
    return patient


def old_tables(patient: Patient) -> Patient:
    patient.run("DELETE FROM alembic_version")
    return patient


def new_tables(patient: Patient) -> Patient:
    patient.run("UPDATE alembic_version SET version_num = 'from_the_future'")
    return patient


def read_only_database(patient: Patient) -> Patient:
    patient.run(f"ALTER DATABASE {make_url(patient.database).database} SET default_transaction_read_only = on")
    return patient


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
    patient.run("UPDATE videos SET source = 'youtube'")
    return patient.with_settings(youtube_api_key=None)


def spent_quota(patient: Patient) -> Patient:
    from thumblab_pipelines.youtube.quota import pacific_day

    day = pacific_day(patient.examined.machine.now())
    patient.run(f"INSERT INTO quota_ledger (day, bucket, spent) VALUES ('{day}', 'searches', 100)")
    return patient


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


def damaged_index(patient: Patient) -> Patient:
    release = next((patient.folder / "releases" / "index" / "tech").glob("2*"))
    (release / "items.json").write_text("[]")
    return patient


def no_model(patient: Patient) -> Patient:
    (patient.folder / "releases" / "model" / "all" / "CURRENT").write_text("")
    return patient


def other_encoder(patient: Patient) -> Patient:
    return patient.with_settings(image_encoder="onnx:/nowhere/tower.onnx")


ERROR, WARNING = Level.ERROR, Level.WARNING
FAULTS: list[tuple[Callable[[Patient], Patient], str, Level, str, str]] = [
    (old_python, "python", ERROR, "this is Python 3.10.4; the lab needs", "make setup"),
    (full_disk, "disk", ERROR, "the data folder has 0.5 GiB left", "THUMBLAB_DATA_DIR"),
    (no_inodes, "disk", ERROR, "room for 12 more files only", "delete files"),
    (little_memory, "memory", ERROR, "1.0 GiB of memory", "more memory"),
    (unknown_host, "servers", ERROR, "lab.invalid, which is not a known name", "THUMBLAB_SERVING_HOST"),
    (file_as_folder, "folder", ERROR, "is not a folder", "THUMBLAB_DATA_DIR"),
    (open_key, "folder", WARNING, "other users of this machine can read", "chmod 600"),
    (closed_database, "database", ERROR, "The database does not answer", "THUMBLAB_DATABASE_URL"),
    (no_extension, "database", ERROR, "the extension vector is missing", "thumblab db migrate"),
    (old_tables, "database", WARNING, "the lab has no tables yet", "thumblab db migrate"),
    (new_tables, "database", ERROR, "a newer version of the lab has changed the tables (from_the_future)", "install"),
    (read_only_database, "database", ERROR, "the database is read-only", "primary"),
    (no_weights, "image encoder", ERROR, "lacks /nowhere/tower.onnx", "put the file there"),
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
    (damaged_index, "releases", ERROR, "items.json does not match its checksum", "thumblab index rebuild tech"),
    (no_model, "model", WARNING, "no ranking model is served", "thumblab refresh"),
    (missed_training, "model", WARNING, "the served model is 30 days old", "thumblab refresh"),
    (other_encoder, "model", WARNING, "trained with the encoder builtin", "THUMBLAB_IMAGE_ENCODER=builtin"),
]


@pytest.mark.parametrize(
    ("plant", "check", "level", "what", "mend"), FAULTS, ids=[f"{fault[0].__name__}-{fault[2]}" for fault in FAULTS]
)
def test_a_planted_fault_is_found_with_what_mends_it(
    patient: Patient, plant: Callable[[Patient], Patient], check: str, level: Level, what: str, mend: str
) -> None:
    (found,) = faults(plant(patient), check).values()
    assert [what in finding.what and mend in str(finding.mend) for finding in found if finding.level is level] == [True]
    assert PASSWORD not in str(found)


def test_a_port_that_another_program_has_is_an_error_only_if_it_cannot_move(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (given,) = faults(patient.with_settings(serving_port=port), "servers")["servers"]
        assert f"something listens on 127.0.0.1:{port} already" in given.what
        assert f"process {os.getpid()}" in given.what
        (patient.folder / "dagster-port").write_text(str(port))
        assert faults(patient, "servers") == {}
        (patient.folder / "mlflow-port").write_text(str(port))
        (kept,) = faults(patient, "servers")["servers"]
        assert "give mlflow another port with --mlflow-port" in kept.what


def test_servers_that_do_not_answer_are_named(patient: Patient) -> None:
    from thumblab_core.running import Running, announced

    closed = "http://127.0.0.1:1"
    with announced(patient.folder, Running(closed, closed, closed)):
        found = faults(patient)
    assert [finding.what.partition(" does not")[0] for finding in found["servers"]] == ["dagster", "mlflow", "scoring"]
    assert "Dagster does not answer" in found["daemon"][0].what
    assert found["daemon"][0].level is ERROR


def test_a_check_that_hangs_or_fails_stops_no_other(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    ended = threading.Event()

    def hangs(_: Examined) -> Iterator[Finding]:
        yield fine("first")
        ended.wait(60)

    def fails(_: Examined) -> Iterator[Finding]:
        raise ValueError(f"cannot read {KEY}")

    checks = [Check("hangs", hangs, 0.05), Check("fails", fails), Check("works", lambda _: [fine("second")])]
    results = list(examining.examine(patient.examined, checks))
    ended.set()
    assert [[finding.what for finding in result.findings] for result in results] == [
        ["first", "no result within 0 s"],
        ["this check failed: ValueError: cannot read ***"],
        ["second"],
    ]


def shell(*arguments: str, **environment: str) -> Any:
    settings.cache_clear()
    done = CliRunner().invoke(cli, ["doctor", *arguments], env={"COLUMNS": "300", **environment})
    settings.cache_clear()
    return done


def test_the_command_prints_every_check_and_the_json_is_the_same(patient: Patient, monkeypatch: Any) -> None:
    monkeypatch.setattr(Machine, "this", lambda: patient.examined.machine)
    chosen = patient.examined.settings
    environment = {
        "THUMBLAB_DATA_DIR": str(patient.folder),
        "THUMBLAB_DATABASE_URL": patient.database,
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_FACE_MODEL": str(chosen.face_model),
        "THUMBLAB_YOUTUBE_API_KEY": KEY,
        "THUMBLAB_SERVING_PORT": str(chosen.serving_port),
    }
    healthy = shell(**environment)
    assert (healthy.exit_code, healthy.stderr) == (0, "")
    assert healthy.stdout.splitlines()[-1] == f"Nothing is wrong: {len(CHECKS)} checks."
    assert shell("--quiet", **environment).output == ""
    ill = environment | {"THUMBLAB_FACE_MODEL": "", "THUMBLAB_TITLE_ENCODER": "/nowhere/titles"}
    lines = shell("--quiet", **ill)
    assert lines.exit_code == 1
    assert [line[:8].strip() for line in lines.stdout.splitlines()] == ["ERROR", "", "warning", "", "1 error,"]
    values = json.loads(shell("--json", **ill).stdout)
    assert (values["healthy"], values["errors"], values["warnings"]) == (False, 1, 1)
    assert [check["check"] for check in values["checks"]] == [check.name for check in CHECKS]
    assert KEY not in lines.output + json.dumps(values)
    only_a_warning = shell(**(ill | {"THUMBLAB_TITLE_ENCODER": "minilm"}))
    assert (only_a_warning.exit_code, "0 errors, 1 warning" in only_a_warning.stdout) == (0, True)


def test_a_setting_that_cannot_be_used_is_a_fault_too(tmp_path: Path) -> None:
    done = shell("--json", THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_SERVING_PORT="many")
    assert done.exit_code == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert check["check"] == "settings"
    assert "THUMBLAB_SERVING_PORT" in check["findings"][0]["what"]


def test_the_demos_lab_is_mended_by_the_demo(tmp_path: Path) -> None:
    done = shell("--demo", "--quiet", THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_IMAGE_ENCODER="builtin")
    assert "no YouTube" not in done.stdout
    (tmp_path / "demo").mkdir()
    done = shell("--demo", THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_IMAGE_ENCODER="builtin")
    assert "-> thumblab demo\n" in done.stdout
    assert sys.version.split()[0] in done.stdout
    assert list((tmp_path / "demo").iterdir()) == [], "no database is started and nothing is made"
