"""Tests of the option `--demo`: every command that works on a lab has it, and every printed command works there too."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from served_model import publish_model

from thumblab_cli.demo.one_demo import only_demo
from thumblab_cli.main import cli
from thumblab_cli.printing.forgotten import print_forgotten
from thumblab_cli.which_lab import demo_settings, here, lab_settings, on_this_lab
from thumblab_core.data_folder import EMULATOR_PORT
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings
from thumblab_pipelines.retention.forget_videos import ForgottenVideos

WITHOUT = {
    *("demo", "import", "import-studio", "import-reach", "crawl", "refresh"),
    *("evaluate", "fine-tune", "experiment add", "experiment import"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the user's own lab, with the folder of the demo's lab in it."""
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / EMULATOR_PORT).write_text("8095")
    settings.cache_clear()
    return tmp_path


@pytest.fixture
def in_demo(home: Path) -> Iterator[None]:
    """Stop the database of the demo's lab after the test."""
    yield
    settings.cache_clear()
    run("db", "stop", "--force", "--demo")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def leaves(command: click.Command, context: click.Context, path: str = "") -> list[tuple[str, click.Command]]:
    """Return every command that is no group, with its path, such as `index status`."""
    if not isinstance(command, click.Group):
        return [(path.strip(), command)]
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += leaves(inner, context, f"{path} {name}")
    return found


def test_every_command_that_works_on_a_lab_has_the_option_demo() -> None:
    for path, command in leaves(cli, click.Context(cli)):
        names = [parameter.name for parameter in command.params]
        assert names.count("demo") == (not {path, path.split()[0]} & WITHOUT), path
        assert len(names) == len(set(names)), path


def test_a_command_with_demo_uses_the_demos_lab_and_the_next_one_the_own_lab(home: Path) -> None:
    def folder_of_models(*options: str) -> Path:
        (first, *_) = json.loads(run("models", "status", "--json", *options).stdout)["files"]
        return Path(first["path"]).parent

    before = dict(os.environ)
    assert folder_of_models("--demo") == home / "demo" / "models"
    assert dict(os.environ) == before
    assert folder_of_models() == home / "models"


def test_a_demo_folder_adds_no_niche_to_commands_on_the_own_lab(home: Path) -> None:
    (home / "niches.json").write_text('{"niches": ["cooking"]}')
    assert "cooking" in (refused := run("index", "status", "gaming")).stderr
    assert refused.exit_code == 2
    assert "is not one of" not in run("index", "status", "gaming", "--demo").stderr
    assert "'cooking' is not one of" in run("index", "status", "--demo", "cooking").stderr


def test_demo_makes_no_lab_if_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    done = run("index", "status", "--demo")
    assert done.exit_code == 1
    assert f"there is no lab in {tmp_path / 'demo'}" in done.stderr
    assert "`thumblab up --demo`" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_in_the_folder_of_a_demo_the_option_demo_means_the_same_lab(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_catalogue = demo_settings(home).data_dir
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(home / "demo"))
    settings.cache_clear()
    assert demo_settings(None).data_dir == home / "demo"
    assert demo_settings(home).data_dir == of_catalogue


def test_a_lab_that_is_only_called_demo_keeps_its_own_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "demo"))
    settings.cache_clear()
    assert demo_settings(None).data_dir == tmp_path / "demo" / "demo"


def test_only_settings_that_the_user_gave_count_as_given_in_the_demo(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_MLFLOW_TRACKING_URI", "http://mlflow")
    monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")
    settings.cache_clear()
    own = set(settings().model_fields_set)
    assert demo_settings(None).model_fields_set == {"image_encoder"}
    assert settings().model_fields_set == own == {"data_dir", "image_encoder", "mlflow_tracking_uri"}


def test_an_error_names_commands_that_work_on_the_chosen_lab(home: Path) -> None:
    with only_demo(home / "demo"):
        done = run("up", "--demo")
    assert done.exit_code == 1
    assert done.stderr.endswith("then start `thumblab up --demo` again\n")
    assert "there are no logs" in (logs := run("logs", "--demo").stderr)
    assert "`thumblab up --demo` writes them" in logs


def test_printed_commands_get_the_options_of_the_chosen_lab(home: Path) -> None:
    hint = "run `thumblab index resume tech`, `thumblab import FOLDER`, `thumblab demo` or `thumblab key --demo`"
    mend = "run `thumblab refresh tech --no-train`"
    with click.Context(cli, info_name="thumblab", **cli.context_settings):
        assert on_this_lab(hint) == hint
        lab_settings(True, None)
        assert here("logs --follow") == "thumblab logs --follow --demo"
        assert on_this_lab(hint) == (
            f"run `thumblab index resume tech --demo`, `THUMBLAB_DATA_DIR={home / 'demo'} thumblab import FOLDER`, "
            "`thumblab demo` or `thumblab key --demo`"
        )
        # `thumblab refresh` in the folder of the demo would encode all its pictures with the encoder of the own lab.
        assert on_this_lab(mend) == "run `thumblab demo`"
    with click.Context(cli, info_name="thumblab", **cli.context_settings):
        lab_settings(True, home)
        assert on_this_lab(mend) == f"run `thumblab demo --catalogue {home}`"


def test_advice_after_a_deletion_names_commands_that_work_on_the_chosen_lab(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with click.Context(cli, info_name="thumblab", **cli.context_settings):
        lab_settings(True, None)
        print_forgotten(ForgottenVideos(videos=1, experiments=2))
    printed = capsys.readouterr().out
    assert "`thumblab experiment list --demo` shows their ids" in printed
    assert "`thumblab experiment remove --demo` deletes them" in printed


def test_a_command_with_demo_does_not_ask_youtube_with_the_key_of_the_own_lab(
    home: Path, in_demo: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_YOUTUBE_API_KEY", "AIza" + "x" * 35)
    monkeypatch.setenv("THUMBLAB_YOUTUBE_ENDPOINT", "http://127.0.0.1:9/")
    settings.cache_clear()
    publish_model(ReleaseStore(home / "demo" / "releases"))
    for words in (("channel", "add", "@somebody", "--niche", "tech"), ("experiment", "list", "--channel", "@somebody")):
        done = run(*words, "--demo")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "use your own lab, because the demo's lab does not ask YouTube" in done.stderr


def test_the_commands_of_the_database_work_on_the_demos_lab(home: Path, in_demo: None) -> None:
    url = run("db", "url", "--demo")
    # The folder of the database may be a link to a place that the database's own user can reach.
    assert (url.exit_code, str((home / "demo" / "postgres").resolve()) in url.stdout) == (0, True), url.output
    assert run("db", "migrate", "--demo").exit_code == 0
    assert ((home / "demo" / "postgres").exists(), (home / "postgres").exists()) == (True, False)
