"""Test that `thumblab doctor` finds each planted fault in a real small lab, and no fault in a healthy lab."""

import importlib.metadata
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from planted_faults import ERROR, FAULTS, GIB, KEY, PASSWORD, Patient, missed_refresh
from pydantic import SecretStr
from served_model import publish_model

from thumblab_cli.demo.one_demo import only_demo
from thumblab_cli.doctor import examine as examining
from thumblab_cli.doctor.dagster import no_definitions
from thumblab_cli.doctor.examine import CHECKS, Check, examine
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, Level, fine
from thumblab_cli.doctor.machine import Machine, Room
from thumblab_cli.main import cli
from thumblab_core.niches.niche_file import write_names
from thumblab_core.settings import Settings, settings


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
    """A lab in a copy of the data folder of `lab`. A test may damage the files of this copy.

    The copy uses the database of `lab`. A test that damages the database uses `with_database_after`, which copies the
    database first.
    """
    shutil.copytree(lab.settings.data_dir, tmp_path / "lab", ignore=shutil.ignore_patterns("catalogue"))
    (tmp_path / "face.onnx").write_bytes(b"\x08" * 9)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chosen = Settings(
        _env_file=None,
        data_dir=tmp_path / "lab",
        database_url=lab.settings.database_url,
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
    return Patient(Examined(chosen, machine), copied_database)


def faults(patient: Patient, name: str | None = None) -> dict[str, list[Finding]]:
    """Return the warnings and errors of all checks of the doctor, or only of the check `name` if it is given."""
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


@pytest.mark.parametrize(
    ("plant", "check", "level", "what", "mend"), FAULTS, ids=[f"{fault[0].__name__}-{fault[2]}" for fault in FAULTS]
)
def test_a_planted_fault_is_found_with_its_repair(
    patient: Patient, plant: Callable[[Patient], Patient], check: str, level: Level, what: str, mend: str
) -> None:
    (found,) = faults(plant(patient), check).values()
    assert [what in finding.what and mend in str(finding.mend) for finding in found if finding.level is level] == [True]
    assert PASSWORD not in str(found)


def test_a_port_that_another_program_has_is_an_error_only_if_the_server_cannot_move(patient: Patient) -> None:
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


def test_the_mlflow_of_a_running_demo_is_no_fault(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mlflow, only_demo(patient.folder):
        (patient.folder / "mlflow-port").write_text(str(mlflow.getsockname()[1]))
        (check,) = examine(patient.examined, [check for check in CHECKS if check.name == "servers"])
    (finding,) = check.findings
    assert finding.level is Level.OK
    assert f"`thumblab demo` (process {os.getpid()}) runs" in finding.what


def test_a_package_that_is_missing_or_old_is_named(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    changed = {"httpx": "0.1", "mlflow": None}

    def version(package: str) -> str:
        found = changed.get(package, real(package))
        if found is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    (finding,) = faults(patient, "python")["python"]
    assert "httpx 0.1 (needed: >=0.28), mlflow (missing)" in finding.what
    changed |= {"dagster": None, "httpx": real("httpx")}
    (result,) = examine(patient.examined, [CHECKS[0]])
    assert "installed without thumblab[pipelines]" in result.findings[0].what, (
        "a server may have only the scoring service, so missing pipelines are no error"
    )


def test_servers_that_do_not_answer_are_named(patient: Patient) -> None:
    from thumblab_core.running import Running, announced

    closed = "http://127.0.0.1:1"
    with announced(patient.folder, Running(closed, closed, closed)):
        found = faults(patient)
    assert [finding.what.partition(" does not")[0] for finding in found["servers"]] == ["dagster", "mlflow", "scoring"]
    assert "Dagster does not answer" in found["daemon"][0].what
    assert found["daemon"][0].level is ERROR


def test_a_check_that_hangs_or_fails_does_not_stop_the_other_checks(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.slow
def test_the_command_prints_every_check_and_the_json_is_the_same(patient: Patient, monkeypatch: Any) -> None:
    monkeypatch.setattr(Machine, "this", lambda: patient.examined.machine)
    chosen = patient.examined.settings
    environment = {
        "THUMBLAB_DATA_DIR": str(patient.folder),
        "THUMBLAB_DATABASE_URL": chosen.database_url.get_secret_value(),
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
    assert list((tmp_path / "demo").iterdir()) == [], "the doctor must start no database and create no file"


def test_a_retired_niche_needs_no_refresh_and_a_restored_one_not_at_once(patient: Patient) -> None:
    now = patient.examined.machine.now()
    late = missed_refresh(patient)
    assert ["tech was last refreshed" in finding.what for finding in faults(late, "refreshes")["refreshes"]] == [True]
    write_names(patient.folder, ["gaming"], {})
    assert faults(late, "refreshes") == {}
    write_names(patient.folder, ["tech", "gaming"], {"tech": now + timedelta(days=3)})
    assert faults(late, "refreshes") == {}


def test_a_niche_with_videos_that_was_never_refreshed_is_named(patient: Patient) -> None:
    write_names(patient.folder, ["tech", "gaming"], {})
    added = patient.with_database_after("UPDATE videos SET niche = 'gaming'")
    (found,) = faults(added, "refreshes")["refreshes"]
    assert found.what.startswith("gaming has ")
    assert "was never refreshed" in found.what
    assert "thumblab refresh gaming" in str(found.mend)


def test_a_code_server_that_does_not_answer_and_a_fault_of_the_code_are_one_sentence(tmp_path: Path) -> None:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._utils.error import serializable_error_info_from_exc_info

    try:
        DagsterGrpcClient(socket=str(tmp_path / "none.sock")).list_repositories()
    except DagsterUserCodeUnreachableError:
        unreachable = serializable_error_info_from_exc_info(sys.exc_info()).to_string()
    loading = "dagster._core.errors.DagsterCodeLocationLoadError: Failure loading lab: "
    assert no_definitions(loading + unreachable) == (
        "Dagster's code server does not answer, so Dagster cannot load the lab's definitions"
    )
    fault = f"{loading}ImportError: no module x\n\nStack Trace:\n  File 'definitions.py'"
    assert no_definitions(fault) == "Dagster cannot load the lab's definitions: ImportError: no module x"
