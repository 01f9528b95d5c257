"""Test the constraints of the tables of experiments.

The database refuses an experiment that is incomplete or breaks one of the constraints.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from thumblab_core.database.tables import experiment_variants, experiments

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture(scope="module")
def engine(migrated_database: Callable[[], str]) -> Iterator[Engine]:
    engine = create_engine(migrated_database())
    yield engine
    engine.dispose()


@pytest.fixture
def emptied(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(delete(experiments))
    return engine


def put(connection: Connection, variants: list[dict[str, Any]], **columns: Any) -> int:
    """Insert an experiment with its variants, and return the id of the experiment."""
    row = {"channel_id": "UC1", "video_id": "video_aaaaa", "started_on": date(2026, 11, 1), "outcome": "inconclusive"}
    row |= {"changed_at": func.now()} | columns
    new = connection.execute(insert(experiments).values(**row).returning(experiments.c.experiment_id)).scalar_one()
    numbered = [{"position": at, **variant} for at, variant in enumerate(variants, 1)]
    for variant in numbered:
        connection.execute(insert(experiment_variants).values(experiment_id=new, **variant))
    return int(new)


def count(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


WHOLE = [
    ([{"sha256": A}, {"sha256": B}], {}),
    ([{"title": "one"}, {"title": "two"}, {"title": "three"}], {"outcome": "performed_the_same"}),
    (
        [{"sha256": sha256, "watch_time_share": 0.33, "impressions": 0} for sha256 in (A, B, C)],
        {"outcome": "winner", "winner": 3, "ended_on": date(2026, 11, 1)},
    ),
]


@pytest.mark.parametrize(("variants", "columns"), WHOLE)
def test_a_whole_experiment_is_stored(emptied: Engine, variants: list[dict[str, Any]], columns: dict[str, Any]) -> None:
    with emptied.begin() as connection:
        put(connection, variants, **columns)
    assert count(emptied, experiment_variants) == len(variants)


TWO = [{"sha256": A}, {"sha256": B}]

REFUSED = {
    "one variant": (TWO[:1], {}, "needs the variants 1 and 2"),
    "no variant": ([], {}, "needs the variants 1 and 2"),
    "four variants": ([*TWO, {"sha256": C}, {"title": "four"}], {}, "position"),
    "a gap in the positions": ([TWO[0], {"sha256": B, "position": 3}], {}, "needs the variants 1 and 2"),
    "shares below one": ([v | {"watch_time_share": 0.48} for v in TWO], {}, "do not add up to 1"),
    "shares above one": ([v | {"watch_time_share": 0.52} for v in TWO], {}, "do not add up to 1"),
    "one share unknown": ([TWO[0] | {"watch_time_share": 1.0}, TWO[1]], {}, "do not add up to 1"),
    "a percentage as a share": ([TWO[0] | {"watch_time_share": 51.0}, TWO[1]], {}, "share"),
    "another outcome": (TWO, {"outcome": "won"}, "outcome"),
    "a winner of an inconclusive test": (TWO, {"winner": 1}, "winner_has_outcome_winner"),
    "no winner": (TWO, {"outcome": "winner"}, "winner_has_outcome_winner"),
    "a winner that is no variant": (TWO, {"outcome": "winner", "winner": 3}, "which is its winner"),
    "an end before the start": (TWO, {"ended_on": date(2026, 10, 31)}, "dates_ordered"),
    "a variant of nothing": ([TWO[0], {}], {}, "picture_or_title"),
    "negative impressions": ([TWO[0], TWO[1] | {"impressions": -1}], {}, "impressions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_experiment_that_breaks_a_rule_is_refused_as_a_whole(emptied: Engine, name: str) -> None:
    variants, columns, rule = REFUSED[name]
    with pytest.raises(IntegrityError, match=rule), emptied.begin() as connection:
        put(connection, variants, **columns)
    assert (count(emptied, experiments), count(emptied, experiment_variants)) == (0, 0)


def test_a_second_experiment_of_the_same_channel_video_and_start_is_refused(emptied: Engine) -> None:
    with emptied.begin() as connection:
        put(connection, TWO)
        put(connection, TWO, started_on=date(2026, 11, 2))
    with pytest.raises(IntegrityError, match="ix_experiments_start"), emptied.begin() as connection:
        put(connection, TWO)


def test_no_change_breaks_a_stored_experiment(emptied: Engine) -> None:
    with emptied.begin() as connection:
        put(connection, TWO, outcome="winner", winner=2)
    with pytest.raises(IntegrityError, match="which is its winner"), emptied.begin() as connection:
        connection.execute(update(experiments).values(winner=3))
    second = experiment_variants.c.position == 2
    with pytest.raises(IntegrityError, match="needs the variants 1 and 2"), emptied.begin() as connection:
        connection.execute(delete(experiment_variants).where(second))
    with pytest.raises(IntegrityError, match="do not add up to 1"), emptied.begin() as connection:
        connection.execute(update(experiment_variants).where(second).values(watch_time_share=0.5))


def test_deleting_an_experiment_deletes_its_variants(emptied: Engine) -> None:
    with emptied.begin() as connection:
        kept = put(connection, TWO)
        gone = put(connection, TWO, video_id="video_bbbbb")
    with emptied.begin() as connection:
        connection.execute(delete(experiments).where(experiments.c.experiment_id == gone))
    with emptied.connect() as connection:
        assert set(connection.scalars(select(experiment_variants.c.experiment_id))) == {kept}


def test_the_rules_hold_with_any_search_path_of_a_connection(emptied: Engine) -> None:
    with pytest.raises(IntegrityError, match="needs the variants 1 and 2"), emptied.begin() as connection:
        put(connection, TWO[:1])
        connection.execute(text("SET LOCAL search_path = pg_catalog"))
