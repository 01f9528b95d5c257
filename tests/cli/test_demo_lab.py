"""Promises of the demo's own laboratory."""

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from thumblab_cli.demo_lab import demo_lab
from thumblab_core.niches import NICHES
from thumblab_core.settings import settings


def test_the_demo_can_be_run_fifty_times_a_day(migrated_database: Callable[[], str], monkeypatch: Any) -> None:
    from thumblab_pipelines.steps.collect import collect
    from thumblab_pipelines.steps.lab import Lab

    with demo_lab(None) as demo:
        lab = Lab.open(settings().model_copy(update={"database_url": SecretStr(migrated_database())}))
        collected = [collect(lab, niche) for niche in NICHES]
        lab.engine.dispose()
    assert sum(done.new_videos for done in collected) == len(demo.catalogue.videos)
    spent = demo.emulator.quota.spent
    assert spent["searches"] > 0
    balances = collected[-1].quota.balances
    for balance in balances:
        assert balance.spent == spent[balance.bucket]
        assert balance.limit > 50 * balance.spent, balance.bucket
