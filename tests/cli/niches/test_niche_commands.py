"""Tests of `thumblab niche`: list, show, add, edit, retire, restore and propose."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_cli.main import cli
from thumblab_core.niches import DEFAULT_NAMES, NicheFile
from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.dagster_storage import open_instance
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab

ADD = [
    "niche",
    "add",
    "cooking",
    "--search",
    "recipe",
    "--search",
    "meal prep",
    "--channel",
    "@chef",
    "--category",
    "26",
]
ADD += ["--region", "AU", "--language", "en", "--exclude", "asmr", "--yes"]


@pytest.fixture(scope="module")
def filled(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with the videos of two niches, and the vectors of their titles."""
    catalogue: SyntheticCatalogue = synthetic_catalogue(videos=150)
    with Emulator(catalogue) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="any", search_days=36_500)
        for niche in ("gaming", "beauty"):
            collect(lab, niche)
            embed(lab, niche)
    return lab


@pytest.fixture
def lab(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The filled lab, which the commands of the tests use. At the start of each test, the lab has the niches of a new
    lab.
    """
    assert filled.settings.database_url is not None
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(filled.settings.data_dir))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", filled.settings.database_url.get_secret_value())
    settings.cache_clear()
    yield filled
    with filled.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM niches WHERE number > 7")
        connection.exec_driver_sql("UPDATE niches SET retired_at = NULL")
    (filled.settings.data_dir / "niches.json").unlink(missing_ok=True)


def run(*words: str, said: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=said)


def answer(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_niches_of_a_lab_are_listed_with_their_videos_and_their_cost(lab: Lab) -> None:
    listed = {niche["name"]: niche for niche in answer("niche", "list")}
    assert list(listed) == list(DEFAULT_NAMES)
    assert listed["gaming"]["videos"] > 0 and listed["news"]["videos"] == 0
    assert (listed["tech"]["category_id"], listed["tech"]["searches_a_day"]) == (28, 2)
    assert sum(niche["searches_a_day"] for niche in listed.values()) <= 15
    assert "gaming" in run("niche", "list").stdout


def test_a_niche_is_added_with_its_sources_and_a_command_takes_it_at_once(lab: Lab) -> None:
    assert run("refresh", "cooking").exit_code == 2
    done = run(*ADD)
    assert done.exit_code == 0, done.stderr
    shown = answer("niche", "show", "cooking")
    assert (shown["searches"], shown["channels"], shown["exclude"]) == (["recipe", "meal prep"], ["@chef"], ["asmr"])
    assert (shown["region"], shown["language"], shown["category_id"], shown["videos"]) == ("AU", "en", 26, 0)
    assert answer("index", "status", "cooking")[0]["niche"] == "cooking"
    assert NicheFile(lab.settings.data_dir).names[-1] == "cooking"


def test_a_search_that_looks_like_markup_is_listed_as_it_is(lab: Lab) -> None:
    answer("niche", "add", "markup", "--search", "[/b] recipe", "--yes")
    listed = run("niche", "list")
    assert listed.exit_code == 0, listed.exception
    assert "[/b] recipe" in listed.stdout


def test_the_cost_is_shown_before_a_niche_is_added_and_no_leaves_the_lab_as_it_was(lab: Lab) -> None:
    done = run(*ADD[:-1], said="n\n")
    assert done.exit_code == 1
    assert "costs at most 2 of 100 searches and" in done.stderr
    assert lab.niches == DEFAULT_NAMES


@pytest.mark.parametrize("name", ["all", "../up", "Cooking"])
def test_a_bad_name_and_a_second_niche_of_a_name_are_refused_with_the_reason(lab: Lab, name: str) -> None:
    refused = run("niche", "add", name, "--category", "26", "--yes")
    assert (refused.exit_code, "cannot be the name of a niche" in refused.stderr) == (1, True)
    again = run("niche", "add", "tech", "--category", "28", "--yes")
    assert "there is a niche tech already" in again.stderr


def test_an_edit_changes_what_is_given_and_nothing_else(lab: Lab) -> None:
    run(*ADD)
    edited = answer("niche", "edit", "cooking", "--search", "bake", "--no-region", "--clear", "exclude", "--yes")
    assert (edited["searches"], edited["region"], edited["exclude"]) == (["bake"], None, [])
    assert (edited["channels"], edited["language"]) == (["@chef"], "en")
    assert run("niche", "edit", "cooking").exit_code == 2
    unknown = run("niche", "edit", "baking", "--search", "x", "--yes")
    assert "there is no niche 'baking'; the niches are tech," in unknown.stderr


def test_a_niche_is_retired_kept_restored_and_forgotten(lab: Lab) -> None:
    run(*ADD)
    assert answer("niche", "retire", "cooking", "--yes") == {"name": "cooking", "retired": True, "kept": True}
    assert "cooking" not in [niche["name"] for niche in answer("niche", "list")]
    assert "cooking" in [niche["name"] for niche in answer("niche", "list", "--retired")]
    assert "'cooking' is not one of 'tech'" in run("index", "status", "cooking").stderr
    assert answer("niche", "restore", "cooking")["retired_at"] is None
    assert "retired: yes\nkept: yes\n" in run("niche", "retire", "cooking", "--yes").stdout
    assert answer("niche", "restore", "cooking")["retired_at"] is None
    forgotten = answer("niche", "retire", "cooking", "--forget", "--yes")
    assert (forgotten["kept"], forgotten["videos_deleted"]) == (False, 0)
    assert "there is no niche 'cooking'" in run("niche", "show", "cooking").stderr


def test_dagster_has_the_partition_of_a_new_niche_at_once_and_loses_that_of_a_retired_one(lab: Lab) -> None:
    home = lab.settings.data_dir / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / "dagster.yaml", home)

    def partitions() -> list[str]:
        with open_instance(home, lab.settings.data_dir) as instance:
            assert isinstance(instance, dg.DagsterInstance)
            return list(instance.get_dynamic_partitions("niche"))

    assert run(*ADD).stderr == ""
    assert partitions() == [*DEFAULT_NAMES, "cooking"]
    assert run("niche", "retire", "cooking", "--yes").stderr == ""
    assert partitions() == list(DEFAULT_NAMES)
    shutil.rmtree(home)


def test_a_proposal_names_the_nearest_channels_searches_and_what_it_costs(lab: Lab) -> None:
    with lab.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT channel_id, count(*) FROM videos WHERE niche = 'gaming' GROUP BY 1")
        counts = {str(channel_id): int(count) for channel_id, count in rows}
    seed = next(iter(counts))
    proposal = answer("niche", "propose", "--channel", seed)
    assert seed in [channel["channel_id"] for channel in proposal["channels"][:1]]
    assert proposal["preview"]["gaming"] >= counts[seed]
    assert proposal["cost"]["searches"] == len(proposal["searches"]) > 0
    assert lab.niches == DEFAULT_NAMES
    printed = run("niche", "propose", "--channel", seed).stdout
    assert "To add this niche: thumblab niche add NAME --search" in printed
    assert "the lab has no channel 'nobody'" in run("niche", "propose", "--channel", "nobody").stderr
    assert "the lab has no video 'none'" in run("niche", "propose", "--video", "none").stderr
    assert run("niche", "propose").exit_code == 2
