"""Tests of the alerts about runs of assets that a person chose in Dagster's UI, and about runs of a backfill.

Dagster gives all these runs the same job.
"""

from collections.abc import Iterator

import dagster as dg
import pytest
from watched_runs import MINUTE, Watch

from thumblab_pipelines.alerts.causes import CHECK_ADVICE
from thumblab_pipelines.videos.limited_deletion import CHECK

broken: set[str] = set()


@dg.asset
def training_pairs() -> None:
    if "training_pairs" in broken:
        raise dg.Failure(description="the corpus is empty")


@dg.asset
def experiments() -> None:
    pass


DEFINITIONS = dg.Definitions(
    assets=[training_pairs, experiments], jobs=[dg.define_asset_job("train_ranker", selection=[training_pairs])]
)


@pytest.fixture(autouse=True)
def nothing_broken() -> Iterator[None]:
    yield
    broken.clear()


def materialize(watch: Watch, asset: str, niche: str = "tech") -> None:
    job = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(asset)})
    job.execute_in_process(instance=watch.instance, tags={"dagster/partition": niche}, raise_on_error=False)


def test_the_failure_of_a_chosen_asset_names_it_and_ends_when_a_run_makes_this_asset(watch: Watch) -> None:
    broken.add("training_pairs")
    materialize(watch, "training_pairs")
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith("*training_pairs of tech failed*\n`the corpus is empty`")
    assert [(run.job, run.niche) for run in watch.state.ended] == [("training_pairs", "tech")]
    broken.clear()
    materialize(watch, "experiments")
    materialize(watch, "training_pairs", "news")
    assert watch.look() == []
    assert [alert.things for alert in watch.state.alerts.values()] == [["training_pairs of tech"]]
    materialize(watch, "training_pairs")
    assert watch.look()[0].startswith("*Recovered: training_pairs of tech failed*")


def test_the_failure_of_a_chosen_asset_ends_when_the_job_of_a_schedule_makes_it(watch: Watch) -> None:
    broken.add("training_pairs")
    materialize(watch, "training_pairs")
    watch.look(5 * MINUTE)
    broken.clear()
    job = DEFINITIONS.resolve_job_def("train_ranker")
    job.execute_in_process(instance=watch.instance, tags={"dagster/partition": "tech"})
    assert watch.look()[0].startswith("*Recovered: training_pairs of tech failed*")


def test_a_run_of_chosen_assets_that_fails_without_a_step_names_the_chosen_assets(watch: Watch) -> None:
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    keys = frozenset(dg.AssetKey(name) for name in ("training_pairs", "experiments"))
    tags = {"dagster/partition": "tech", "dagster/max_retries": "0"}
    run = watch.instance.create_run_for_job(job_def=job, asset_selection=keys, tags=tags)
    watch.instance.report_run_failed(run, "the code server does not answer")
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith("*experiments, training_pairs of tech failed*\n`the code server does not answer`")


@dg.op(out=dg.Out(is_required=False))
def withhold() -> Iterator[dg.AssetCheckEvaluation]:
    yield dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("retention"),
        check_name=CHECK,
        passed=False,
        metadata={},
        severity=dg.AssetCheckSeverity.ERROR,
        description="40 expired. At most 5 of 60 videos are deleted at once unless a person confirms, so these videos were "
        "kept. To delete the videos anyway, materialize retention with the config confirmed: true",
    )


@dg.job
def apply_retention() -> None:
    withhold()


def test_the_alert_of_a_check_says_what_to_do_even_if_this_is_the_last_sentence(watch: Watch) -> None:
    apply_retention.execute_in_process(instance=watch.instance, tags={"dagster/partition": "tech"})
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith(f"*the check {CHECK} of retention of tech failed*\n`40 expired. At most 5 of 60 videos ")
    assert "materialize retention with the config confirmed: true" in told
    assert f"What to do: {CHECK_ADVICE}" in told
