"""Tests of encoding and measuring the crawl's videos in turns. A turn is a run with a limited time.

Other videos never wait for these turns.
"""

from datetime import UTC, datetime

import pytest
from bench import NICHE, Bench, passed
from sqlalchemy import insert

from thumblab_core.database.tables import crawl_channels, crawl_videos, videos
from thumblab_pipelines.features import crawl_turn, embed, sub_scores
from thumblab_pipelines.features.check_vectors import check_embeddings
from thumblab_pipelines.features.crawl_turn import CrawlTurn

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def crawled(bench: Bench) -> list[str]:
    """The ids of the videos that the crawl has found: two thirds of the niche's videos."""
    rows = bench.rows(videos.select().order_by(videos.c.video_id))
    found = [row for number, row in enumerate(rows) if number % 3]
    channel_ids = {row.channel_id for row in found}
    facts = {"niche": NICHE, "found_at": NOW}
    bench.do(insert(crawl_channels).values([facts | {"channel_id": channel_id} for channel_id in channel_ids]))
    for row in found:
        one = {"video_id": row.video_id, "channel_id": row.channel_id, "niche": NICHE, "published_at": NOW}
        bench.do(insert(crawl_videos).values(**one, outcome="kept"))
    return [row.video_id for row in found]


def test_the_daily_refresh_encodes_and_measures_all_but_the_crawls_videos(bench: Bench, crawled: list[str]) -> None:
    others = len(bench.ids()) - len(crawled)
    encoded = embed.embed(bench.lab, NICHE, crawl_seconds=0)
    assert (encoded.images, encoded.titles, encoded.left) == (others, others, 2 * len(crawled))
    measured = sub_scores.measure_features(bench.lab, NICHE, crawl_seconds=0)
    assert (measured.measured, measured.left) == (others, len(crawled))
    # The checks pass, although the crawl's videos still wait to be encoded and measured.
    assert passed(check_embeddings(bench.lab, NICHE)) == {"complete": True, "unit_length": True}
    assert passed(sub_scores.check_features(bench.lab, NICHE)) == {"complete": True, "in_range": True}
    assert embed.waiting_for_encoder(bench.lab, NICHE) == 2 * len(crawled)
    assert sub_scores.waiting_for_meter(bench.lab, NICHE) == len(crawled)


def test_an_urgent_video_of_the_crawl_is_encoded_at_once_and_alone(bench: Bench, crawled: list[str]) -> None:
    others = len(bench.ids()) - len(crawled)
    encoded = embed.embed(bench.lab, NICHE, crawl_seconds=0, urgent=crawled[:1])
    assert (encoded.images, encoded.left) == (others + 1, 2 * (len(crawled) - 1))


def test_a_video_that_another_niche_collects_does_not_wait_for_the_crawls_niche(
    bench: Bench, crawled: list[str]
) -> None:
    bench.do(videos.update().where(videos.c.video_id == crawled[0]).values(niche="news"))
    assert embed.waiting_for_encoder(bench.lab, NICHE) == 2 * (len(crawled) - 1)
    assert sub_scores.waiting_for_meter(bench.lab, NICHE) == len(crawled) - 1


def test_a_turn_ends_after_its_time_and_the_next_one_continues(
    bench: Bench, crawled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl_turn, "_SLICE", 4)
    # The time is too short for even one slice of pictures, but a turn always completes one slice.
    first = embed.embed(bench.lab, NICHE, crawl_seconds=1e-9)
    assert first.left == 2 * len(crawled) - 4
    while (again := embed.embed(bench.lab, NICHE, crawl_seconds=1e-9)).left:
        assert 1 <= again.images + again.titles <= 4
    assert embed.waiting_for_encoder(bench.lab, NICHE) == 0
    assert bench.vectors(bench.pictures.fingerprint) == len(bench.ids())
    assert sub_scores.measure_features(bench.lab, NICHE, crawl_seconds=1e-9).left == len(crawled) - 4


def test_a_command_encodes_the_crawls_videos_too(bench: Bench, crawled: list[str]) -> None:
    assert len(crawled) > 0
    encoded = embed.embed(bench.lab, NICHE)
    assert (encoded.images, encoded.left) == (len(bench.ids()), 0)


def test_a_missing_vector_of_another_video_still_fails_the_check(bench: Bench, crawled: list[str]) -> None:
    embed.embed(bench.lab, NICHE, crawl_seconds=0)
    other = next(video_id for video_id in bench.ids() if video_id not in crawled)
    bench.do(videos.update().where(videos.c.video_id == other).values(title="A title without a vector"))
    assert not passed(check_embeddings(bench.lab, NICHE))["complete"]


def test_a_turn_without_a_limit_knows_no_video_of_the_crawl(bench: Bench, crawled: list[str]) -> None:
    turn = CrawlTurn(bench.lab, NICHE, None)
    assert turn.split(crawled, str) == (crawled, [])
