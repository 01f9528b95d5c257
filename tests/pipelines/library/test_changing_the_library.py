"""Tests of changes to a served index.

The lab puts a video into the index immediately, or takes it out immediately. Every later build keeps this
change. Other tests in this file cover the commands and the search.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from library_helpers import NICHE, OTHER, execute, ids, rebuild, served, served_ids
from sqlalchemy import select

from thumblab_cli.main import cli
from thumblab_core.database.tables import embeddings, index_rebuilds, library_exclusions
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex, PublishedBetween, RebuildRequiredError
from thumblab_core.releases.release import INDEX, ReleaseError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.changes import put_in, take_out
from thumblab_pipelines.library.rebuild_requests import open_rebuild_requests
from thumblab_pipelines.library.search import search_libraries
from thumblab_pipelines.library.status import verify_releases


def test_a_video_taken_out_leaves_the_served_index_at_once_and_every_later_build(lab: Lab) -> None:
    video, *rest = ids(lab)
    before = served(lab)
    changed = take_out(lab, NICHE, [video])
    assert (changed.taken_out, changed.skipped, changed.release) == ([video], {}, served(lab))
    assert served_ids(lab) == set(rest)
    assert served(lab).info["changed_since"] == 1
    assert served(lab) != before
    built = rebuild(lab)
    assert built.info["changed_since"] == 0
    assert served_ids(lab) == set(rest)


def test_a_video_put_in_again_is_served_at_once_and_in_later_builds(lab: Lab) -> None:
    video = ids(lab)[0]
    take_out(lab, NICHE, [video])
    assert put_in(lab, NICHE, [video]).put_in == [video]
    assert served_ids(lab) == set(ids(lab))
    rebuild(lab)
    assert served_ids(lab) == set(ids(lab))


def test_putting_a_video_in_again_serves_its_new_count_of_views(lab: Lab) -> None:
    video = ids(lab)[0]
    execute(lab, "UPDATE video_stats SET view_count = 123456789 WHERE video_id = :id", id=video)
    put_in(lab, NICHE, [video])
    index = NicheIndex.load(served(lab))
    nearest = index.search(index.vector_of(video), 1)[0]
    assert nearest.item.video_id == video
    assert nearest.item.views_per_hour > 10_000
    assert len(index) == len(ids(lab))


def test_a_video_without_a_vector_is_encoded_first(lab: Lab) -> None:
    video = ids(lab)[0]
    execute(lab, "DELETE FROM embeddings WHERE video_id = :id", id=video)
    rebuild(lab)
    assert video not in served_ids(lab)
    assert put_in(lab, NICHE, [video]).put_in == [video]
    assert video in served_ids(lab)


def test_videos_that_cannot_be_put_in_are_skipped_with_the_reason(lab: Lab) -> None:
    good, without_picture, not_observed = ids(lab)[:3]
    stranger = ids(lab, OTHER)[0]
    execute(lab, "UPDATE thumbnails SET sha256 = NULL, problem = 'gone' WHERE video_id = :id", id=without_picture)
    execute(
        lab,
        "UPDATE video_stats SET observed_at = observed_at - interval '99 days' WHERE video_id = :id",
        id=not_observed,
    )
    changed = put_in(lab, NICHE, [good, without_picture, not_observed, stranger, "nobody", good])
    assert changed.put_in == [good]
    assert {video: why.split(";")[0] for video, why in changed.skipped.items()} == {
        without_picture: "its thumbnail was not downloaded",
        not_observed: "it was first collected or last observed more than 90 days before the niche's newest observation, "
        "or is not an ordinary video",
        stranger: f"it is a video of {OTHER}",
        "nobody": "the lab does not know it",
    }


def test_taking_out_a_video_that_is_not_served_is_reported(lab: Lab) -> None:
    gone = ids(lab)[0]
    take_out(lab, NICHE, [gone])
    before = served(lab)
    changed = take_out(lab, NICHE, [gone, "nobody"])
    assert changed.skipped == {
        gone: "it was not in the served index; later builds leave it out",
        "nobody": f"no video of {NICHE} in the lab",
    }
    assert served(lab) == before


def test_putting_a_video_into_another_niche_does_not_put_it_back_into_its_own(lab: Lab) -> None:
    video = ids(lab, OTHER)[0]
    take_out(lab, OTHER, [video])
    assert put_in(lab, NICHE, [video]).put_in == []
    with lab.engine.connect() as connection:
        assert list(connection.scalars(select(library_exclusions.c.video_id))) == [video]


def test_too_many_changes_request_a_rebuild_and_change_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_core.index import niche_index

    monkeypatch.setattr(niche_index, "_LEAST_CHANGES", 2)
    take_out(lab, NICHE, ids(lab)[:2])
    before = served(lab)
    with pytest.raises(RebuildRequiredError, match=r"3 videos changed since .* videos, and at most 2 changes"):
        take_out(lab, NICHE, ids(lab)[2:3])
    assert served(lab) == before
    assert len(open_rebuild_requests(lab)) == 1
    rebuild(lab)
    assert served_ids(lab) == set(ids(lab)[3:])


def test_the_second_writer_waits_for_the_first(lab: Lab) -> None:
    first, second = ids(lab)[:2]
    threads = [threading.Thread(target=take_out, args=(lab, NICHE, [video])) for video in (first, second)]
    with lab.releases.serving.changing(INDEX, NICHE):
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert {first, second} <= served_ids(lab)
    for thread in threads:
        thread.join(30)
    assert served_ids(lab) == set(ids(lab)) - {first, second}


def test_a_writer_that_waits_too_long_gets_an_error(lab: Lab) -> None:
    with (
        lab.releases.serving.changing(INDEX, NICHE),
        pytest.raises(ReleaseError, match="another process has been changing index/tech"),
        lab.releases.serving.changing(INDEX, NICHE, patience=0.1),
    ):
        pass


def test_a_search_by_video_finds_similar_ones_in_all_niches_and_within_days(lab: Lab) -> None:
    video = ids(lab)[0]
    everywhere = search_libraries(lab, (OTHER, NICHE), 200, PublishedBetween(), video_id=video)
    assert {hit.niche for hit in everywhere.hits} == {NICHE, OTHER}
    assert len(everywhere.hits) == len(ids(lab)) + len(ids(lab, OTHER)) - 1
    assert [hit.similarity for hit in everywhere.hits] == sorted(
        (hit.similarity for hit in everywhere.hits), reverse=True
    )
    days = sorted(hit.item.published_on for hit in everywhere.hits if hit.item.published_on)
    since = search_libraries(lab, (NICHE, OTHER), 200, PublishedBetween(since=days[-3]), video_id=video)
    assert {hit.item.published_on for hit in since.hits} <= set(days[-3:])
    assert since.hits


def test_words_cannot_be_searched_without_a_text_tower(lab: Lab) -> None:
    with pytest.raises(LabError, match="builtin-768-v3 cannot encode words"):
        search_libraries(lab, (NICHE,), 5, PublishedBetween(), words="a red car")


def test_a_damaged_release_is_reported_with_its_fault(lab: Lab) -> None:
    assert [(release.served, release.fault) for release in verify_releases(lab, NICHE)] == [(True, None)]
    (served(lab).path / "calibration.npy").write_bytes(b"")
    assert "calibration.npy does not match" in (verify_releases(lab, NICHE)[0].fault or "")


@pytest.fixture
def command(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    from thumblab_cli.commands.library import index

    monkeypatch.setattr(index, "_lab", lambda: lab)
    return lambda *arguments: CliRunner().invoke(cli, ["index", *arguments], catch_exceptions=False)


def test_the_commands_print_what_they_did(command: Callable[..., Any], lab: Lab) -> None:
    first, second, *_ = ids(lab)
    assert f"{first}: out" in command("delete", NICHE, first).output
    refused = command("delete", NICHE, "nobody")
    assert (refused.exit_code, "no video of tech in the lab" in refused.output) == (1, True)
    assert f"{first}: in" in command("upsert", NICHE, first).output
    assert "ends this hold" in command("rollback", NICHE).output
    assert "held: rolled back" in command("status", NICHE).output
    assert command("upsert", NICHE, second).exit_code == 1
    assert "tech serves" in command("resume", NICHE).output
    assert "good" in command("verify", NICHE).output
    assert command("rebuild", NICHE).exit_code == 0
    assert "tech: " in command("prune", NICHE, "--keep", "1").output
    searched = command("search", "--video", first, "--niche", NICHE, "-k", "3", "--json")
    assert searched.exit_code == 0
    assert '"niche": "tech"' in searched.output
    assert command("search").exit_code == 2
    assert command("rebuild", "gaming").exit_code == 0  # The command first encodes the videos of gaming.


def test_deleting_a_video_deletes_its_rows_of_the_library(lab: Lab) -> None:
    video = ids(lab)[0]
    take_out(lab, NICHE, [video])
    execute(lab, "DELETE FROM videos WHERE video_id = :id", id=video)
    with lab.engine.connect() as connection:
        assert connection.execute(select(library_exclusions)).all() == []
        assert connection.execute(select(index_rebuilds)).all() == []
        assert connection.execute(select(embeddings).where(embeddings.c.video_id == video)).all() == []
