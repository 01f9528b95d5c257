"""Tests of `thumblab models`. The command shows which model files are present, and fetches the missing files."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from thumblab_cli.main import cli
from thumblab_core import model_files
from thumblab_core.model_files import ModelFile
from thumblab_core.settings import settings

BYTES = b"\x08\x06 a model"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelFile:
    """Replace the list of downloadable model files by one small file, whose host does not answer. Return the file."""
    url, digest = "http://127.0.0.1:9/faces.onnx", hashlib.sha256(BYTES).hexdigest()
    model = ModelFile("faces", "faces.onnx", "finds faces", "MIT", url, len(BYTES), digest)
    monkeypatch.setattr(model_files, "YUNET", model)
    monkeypatch.setattr(model_files, "REGISTRY", {"faces": model})
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    settings.cache_clear()
    return model


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["models", *arguments])


def test_a_missing_file_is_pulled_once(model: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(BYTES)
    before = run("status")
    assert before.exit_code == 0
    assert "faces: missing" in before.stdout
    assert "Faces are not detected: run `thumblab models pull`" in before.stdout
    assert not (tmp_path / "lab").exists()  # `status` creates no folder.
    pulled = run("pull", "--from", str(tmp_path / "copy")).stdout
    assert "now at" in pulled
    assert "Next: run `thumblab refresh --no-train`" in pulled
    again = run("pull", "faces").stdout
    assert "already at" in again
    assert "Next" not in again
    after = json.loads(run("status", "--json").stdout)
    assert after["files"][0]["state"] == "present"
    assert after["face_model"] == str(tmp_path / "lab" / "models" / "faces.onnx")
    assert after["problem"] is None


def test_the_json_output_says_what_changed(model: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(BYTES)
    arguments = ("pull", "--json", "--from", str(tmp_path / "copy"))
    first, second = json.loads(run(*arguments).stdout), json.loads(run(*arguments).stdout)
    assert [first[0]["changed"], second[0]["changed"]] == [True, False]
    assert first[0]["sha256"] == model.sha256
    assert first[0]["state"] == "present"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pull",), "cannot be fetched"),
        (("pull", "eyes"), "there is no model file 'eyes'; use one of faces"),
        (("pull", "--from", "wrong"), "expected 10 bytes"),
        (("pull", "--from", "none"), "cannot be read"),
    ],
)
def test_a_failure_is_one_sentence_and_a_nonzero_exit(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong").write_bytes(b"something else")
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("thumblab: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_status_reports_a_setting_that_names_no_model(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_FACE_MODEL", "/nowhere.onnx")
    settings.cache_clear()
    assert "THUMBLAB_FACE_MODEL is set to /nowhere.onnx" in run("status").stdout
    assert "THUMBLAB_FACE_MODEL" in json.loads(run("status", "--json").stdout)["problem"]


def test_the_demo_uses_a_file_that_was_pulled_for_the_users_lab(
    model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_cli.demo.lab import demo_lab

    monkeypatch.setenv("THUMBLAB_DEMO_VIDEOS", "60")
    settings.cache_clear()
    path = model_files.path_of(model)
    path.parent.mkdir(parents=True)
    path.write_bytes(BYTES)
    with demo_lab(None) as demo:
        assert demo.data_dir != path.parents[1]
        assert model_files.face_model(demo.settings) == path


def test_the_face_embedder_is_pulled_by_name_or_where_people_are_switched_on(
    model: ModelFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embedder = replace(model, name="sface", file="embedder.onnx")
    monkeypatch.setattr(model_files, "SFACE", embedder)
    monkeypatch.setattr(model_files, "REGISTRY", {"faces": model, "sface": embedder})
    (tmp_path / "copy").write_bytes(BYTES)
    source = ("--from", str(tmp_path / "copy"))
    assert "faces: now at" in run("pull", *source).stdout
    assert run("status").stdout.count("missing") == 1
    pulled = run("pull", "sface", *source).stdout
    assert "sface: now at" in pulled
    assert "Next" not in pulled  # The sub-scores do not need the face embedder.
    monkeypatch.setenv("THUMBLAB_PEOPLE", "own")
    settings.cache_clear()
    assert "already at" in run("pull").stdout
    assert [row["name"] for row in json.loads(run("pull", "--json").stdout)] == ["faces", "sface"]
    assert "People are recognised by their faces with" in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["face_embedder"].endswith("embedder.onnx")
    assert "give the NAME" in run("pull", *source).output + str(run("pull", *source).exception)
