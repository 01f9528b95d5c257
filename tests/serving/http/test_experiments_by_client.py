"""Test, with the real service and its database, that the client stores and lists experiments."""

import asyncio
from datetime import date

import pytest

from thumblab_client import AsyncClient, Client, InvalidRequestError, PictureError, Variant

KEY = "key-of-the-tests-0123456789"


def test_an_experiment_is_stored_once_and_listed_page_by_page(with_database, engine, files):
    with Client(with_database.url, KEY) as client:
        channel = "UCBJycsmduvYEL83R_U4JriQ"
        variants = [Variant(files[0], watch_time_share=46.0), Variant(files[1], watch_time_share=54.0)]
        for day in (1, 2, 3):
            stored = client.store_experiment(channel, "dQw4w9WgXcQ", date(2026, 11, day), "winner", variants)
            assert (stored.state, stored.winner, stored.started_on) == ("new", 2, date(2026, 11, day))
        again = client.store_experiment(
            channel, "dQw4w9WgXcQ", date(2026, 11, 3), "winner", variants, ended_on=date(2026, 11, 9)
        )
        assert (again.state, again.ended_on) == ("changed", date(2026, 11, 9))
        page = client.experiments(channel, limit=2)
        assert [one.started_on.day for one in page.experiments] == [3, 2]
        assert [one.started_on.day for one in client.experiments(cursor=page.next_cursor).experiments] == [1]
        assert [one.started_on.day for one in client.all_experiments()] == [3, 2, 1]

        async def listed():
            async with AsyncClient(with_database.url, KEY) as own:
                return [one.experiment_id async for one in own.all_experiments(channel)]

        assert asyncio.run(listed()) == [one.experiment_id for one in client.all_experiments()]


def test_an_experiment_that_breaks_a_rule_is_an_error_that_names_the_rule(with_database, engine, files):
    with Client(with_database.url, KEY) as client:
        variants = [Variant(files[0], watch_time_share=10), Variant(files[1], watch_time_share=20)]
        with pytest.raises(InvalidRequestError, match="add up"):
            client.store_experiment("UCBJycsmduvYEL83R_U4JriQ", "dQw4w9WgXcQ", date(2026, 11, 1), "winner", variants)
        with pytest.raises(PictureError, match="none"):
            client.store_experiment("UCx", "v", date(2026, 11, 1), "winner", [Variant("none.jpg"), Variant(files[0])])
