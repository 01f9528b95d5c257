"""Test the commands `thumblab people`, with the real networks.

The networks and the pictures of people are in the folder of real data, which is not in the repository.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from thumblab_cli.commands.people.people import _SUBCOMMANDS
from thumblab_cli.main import cli
from thumblab_cli.printing import tables
from thumblab_core.settings import settings

ROOT = Path(__file__).resolve().parents[3]
Shell = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten pictures of each of six people, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("people")
    for person in sorted((shared_data / "faces" / "people").iterdir())[:6]:
        (folder / person.name).mkdir()
        for picture in sorted(person.glob("*.png"))[:10]:
            (folder / person.name / picture.name).write_bytes(picture.read_bytes())
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture
def shell(environment: dict[str, str], shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A function that runs `thumblab people` with the given arguments."""
    models = shared_data.parent / "models"
    networks = {
        "THUMBLAB_PEOPLE": "own",
        "THUMBLAB_FACE_MODEL": str(models / "face_detection_yunet_2026may.onnx"),
        "THUMBLAB_FACE_EMBEDDER": str(models / "mobilefacenet.onnx"),
    }
    for name, value in (environment | networks).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["people", *map(str, arguments)])

    yield run
    settings.cache_clear()


def answered(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def ids(shell: Shell, *arguments: str) -> list[str]:
    return [cluster["cluster_id"] for cluster in answered(shell("show", "--json", *arguments))["clusters"]]


def test_without_a_channel_and_pictures_the_command_says_that_there_is_nothing_to_search(shell: Shell) -> None:
    for command in ("detect", "pipeline"):
        result = shell(command)
        assert result.exit_code == 0, result.output
        assert "no channel was added; add a channel with `thumblab channel add`" in result.stdout


def test_one_command_leads_from_a_folder_to_people(shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answered(shell("pipeline", "--full", "--folder", folder, "--json"))
    assert found["detect"]["folder"]["pictures"] == 60
    assert [problem.partition(":")[0] for problem in found["detect"]["folder"]["problems"]] == ["broken.png"]
    assert found["stats"]["folders"]["f"] >= 0.95
    assert "no face has a name" in found["train"]["skipped"]
    assert len(ids(shell)) == found["cluster"]["unknown_clusters"] >= 6
    monkeypatch.setattr(tables, "_LINE_SECONDS", 0.0)
    again = shell("pipeline", "--folder", folder)
    assert re.search(r"^comparing faces: (\d+) of \1$", again.stderr, re.MULTILINE)
    assert "0 of them new" in again.stdout
    assert "nothing to search" not in again.stdout
    assert "no cluster mixes two people" in again.stdout
    assert "Detected: 0 new faces" in again.stdout


def test_a_name_a_merge_and_a_ban_are_listed_and_taken_back(shell: Shell) -> None:
    first, second, *_ = ids(shell)
    assert "(Alice)" in shell("label", first, "Alice").stdout
    merged = answered(shell("label", second, "alice", "--json"))
    assert merged["faces"] > 10
    (merge,) = [change for change in answered(shell("changes", "--json")) if change["kind"] == "merge"]
    assert merged["merge"] == merge["change_id"]
    (line,) = [line.split() for line in shell("changes").stdout.splitlines() if "merge" in line]
    assert line[1:4] == ["merge", "Alice", second]
    assert shell("unmerge", merge["change_id"]).exit_code == 0
    alice = first.replace("unknown_cluster", "person")
    face = answered(shell("show", alice, "--json"))["faces"][0]["face_id"]
    assert answered(shell("not", face, "--json"))["faces"] == merged["faces"] - 11
    assert "ban" in shell("undo").stdout
    assert answered(shell("show", alice, "--json"))["total"] == merged["faces"] - 10


def test_a_person_is_found_by_name_and_a_face_by_the_file_that_shows_it(shell: Shell) -> None:
    (alice,) = ids(shell, "--kind", "person")
    shown = answered(shell("show", "ALICE", "--json"))
    assert (shown["cluster_id"], shown["name"]) == (alice, "Alice")
    file_name = shown["faces"][0]["shown_in"][0]["file_name"]
    assert file_name.endswith(".png")
    assert file_name in shell("show", "Alice").stdout
    other = ids(shell, "--kind", "unknown")[0]
    merged = answered(shell("merge", other, "Alice", "--json"))
    assert merged["cluster_id"] == alice
    assert answered(shell("unmerge", merged["merge"], "--json"))["cluster_id"] == other
    face = answered(shell("show", other, "--json"))["faces"][0]["face_id"]
    assert answered(shell("move", face, "--to", "Alice", "--json"))["cluster_id"] == alice
    assert "Taken back" in shell("undo").stdout
    refused = shell("merge", other, "Bob")
    assert refused.exit_code == 1
    assert "no person has this name; `thumblab people show` lists the people" in refused.stderr


def test_a_name_in_square_brackets_is_shown_as_it_is(shell: Shell) -> None:
    last = ids(shell)[-1]
    named = answered(shell("label", last, "[/b] [red]", "--json"))["cluster_id"]
    for command in (["show"], ["show", named], ["changes"], ["stats"]):
        result = shell(*command)
        assert result.exit_code == 0, result.output
    assert "[/b] [red]" in shell("show").stdout
    assert "Taken back" in shell("undo").stdout


def test_forgetting_asks_first_and_then_deletes(shell: Shell) -> None:
    (alice,) = ids(shell, "--kind", "person")
    faces = answered(shell("show", alice, "--json"))["total"]
    asked = shell("forget", "person", "ALICE")
    assert asked.exit_code == 1
    assert f"Delete Alice ({faces} faces) permanently?" in asked.stderr
    picture = answered(shell("show", alice, "--json"))["faces"][0]["sha256"]
    assert f"Delete the picture {picture} (1 face) permanently?" in shell("forget", "picture", picture).stderr
    forgotten = answered(shell("forget", "person", "Alice", "--yes", "--json"))
    assert forgotten["faces"] == forgotten["pictures"] > 0
    assert ids(shell, "--kind", "person") == []
    assert answered(shell("detect", "--json"))["faces"] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["show", "nobody"], "is not the id of a cluster"),
        (["show", "\udcff"], "no person has this name"),
        (["show", "person_0123456789ab"], "no cluster"),
        (["label", "person_0123456789ab", "Bob"], "no cluster"),
        (["move", "face", "--to", "person_0123456789ab"], "no face"),
        (["forget", "face", "none", "--yes"], "no face"),
        (["forget", "face", "none"], "no face"),
        (["forget", "person", "Alice"], "no person has this name"),
        (["forget", "picture", "none"], "no picture"),
        (["unmerge", "999999"], "merge"),
        (["move", "\udcff"], "no face"),
    ],
)
def test_a_wrong_id_is_a_clear_error(shell: Shell, arguments: list[str], problem: str) -> None:
    result = shell(*arguments)
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "permanently?" not in result.stderr


def test_while_people_are_off_the_commands_say_how_to_switch_them_on(
    shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_PEOPLE", "off")
    for command in (["detect", "--folder", folder], ["cluster"], ["assign"], ["train"], ["pipeline", "--full"]):
        result = shell(*command)
        assert result.exit_code == 1
        assert "THUMBLAB_PEOPLE=own" in result.stderr


@pytest.mark.parametrize("name", list(_SUBCOMMANDS))
def test_every_subcommand_has_a_help_text(name: str) -> None:
    result = CliRunner().invoke(cli, ["people", name, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 100


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("faces-pipeline-dual LIMIT=10000", "people pipeline --limit 10000"),
        ("faces-pipeline-dual PERSON_THRESHOLD=0.8", "people pipeline --person-threshold 0.8"),
        ("faces-pipeline-full EPOCHS=50 MARGIN=0.3", "people pipeline --full --epochs 50 --margin 0.3"),
        (
            "faces-cluster-dual PERSON_THRESHOLD=0.8 UNKNOWN_METHOD=hdbscan",
            "people cluster --person-threshold 0.8 --unknown-method hdbscan",
        ),
        ("faces-cluster-dual MAX_FACES=1000", "people cluster --max-faces 1000"),
        (
            "faces-train-matching EPOCHS=50 MARGIN=0.3 MIN_FACES=10",
            "people train --epochs 50 --margin 0.3 --min-faces 10",
        ),
        ("faces-stats", "people stats"),
    ],
)
def test_the_make_targets_of_the_specification_call_the_commands(target: str, command: str) -> None:
    # `make test` passes its own variables on to its child processes. The test removes these variables, so that `make`
    # runs as in a shell.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
    }
    made = subprocess.run(
        ["make", "-n", *target.split()], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    (called,) = [line for line in made.stdout.splitlines() if " people " in line]
    assert " ".join(called.split()).endswith(f"thumblab {command}")
