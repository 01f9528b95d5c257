"""Tests of promoting a build.

The promoted index has every change that was made since the build began. After a person has rolled an index back, the
lab promotes no build until a person runs `thumblab index resume`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from library_helpers import NICHE, OTHER, add_views, execute, ids, rebuild, served, served_ids

from thumblab_core.database.tables import library_exclusions
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex, RebuildRequiredError
from thumblab_core.releases.release import INDEX, ReleaseError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build
from thumblab_pipelines.library.changes import put_in, resume, roll_back, take_out
from thumblab_pipelines.library.rebuild_requests import open_rebuild_requests, request_rebuild
from thumblab_pipelines.library.status import index_status


def test_changes_made_during_a_build_are_in_it_when_it_is_served(lab: Lab) -> None:
    out, back = ids(lab)[:2]
    take_out(lab, NICHE, [back])
    build.build_index(lab, NICHE)  # The build has read the library before the changes below.
    take_out(lab, NICHE, [out])
    put_in(lab, NICHE, [back])
    release = build.promote_index(lab, NICHE).release
    assert release.info["changed_since"] == 2
    assert served_ids(lab) == set(ids(lab)) - {out}


def test_a_build_older_than_the_served_release_is_not_promoted(lab: Lab) -> None:
    take_out(lab, NICHE, ids(lab)[:1])
    before = served(lab)
    assert build.promote_index(lab, NICHE).release == before
    assert served(lab) == before


def test_a_rolled_back_index_stays_until_a_person_resumes(lab: Lab) -> None:
    first = served(lab)
    add_views(lab)
    second = rebuild(lab)
    assert roll_back(lab, NICHE) == first
    add_views(lab)
    assert rebuild(lab) == first
    assert f"rolled back from {second.release_id}" in str(build.promote_index(lab, NICHE).held)
    for change in (put_in, take_out):
        with pytest.raises(LabError, match=f"tech is held: .*thumblab index resume {NICHE}"):
            change(lab, NICHE, ids(lab)[:1])
    newest = resume(lab, NICHE)
    assert newest == served(lab)
    assert newest.release_id > second.release_id
    put_in(lab, NICHE, ids(lab)[:1])


def test_a_rollback_serves_no_video_that_was_taken_out_or_deleted_since(lab: Lab) -> None:
    first = served(lab)
    out, deleted = ids(lab)[:2]
    take_out(lab, NICHE, [out])
    before = served(lab)
    execute(lab, "DELETE FROM videos WHERE video_id = :id", id=deleted)
    rolled_back = roll_back(lab, NICHE)
    assert served(lab) == rolled_back != first
    assert {out, deleted}.isdisjoint(served_ids(lab))
    assert {out, deleted}.isdisjoint(NicheIndex.video_ids(rolled_back)), "no file names them"
    assert served_ids(lab) == set(ids(lab)) - {out}
    assert resume(lab, NICHE) == before
    assert roll_back(lab, NICHE, first.release_id).info["count"] == first.info["count"] - 2


def test_a_second_rollback_goes_further_back_although_the_first_published_a_new_release(lab: Lab) -> None:
    first = served(lab)
    add_views(lab)
    second = rebuild(lab)
    take_out(lab, NICHE, ids(lab)[:1])
    before = served(lab)
    assert roll_back(lab, NICHE).info["as_of"] == second.info["as_of"]
    assert roll_back(lab, NICHE).info["as_of"] == first.info["as_of"]
    with pytest.raises(LabError, match="no older release"):
        roll_back(lab, NICHE)
    assert resume(lab, NICHE) == before
    put_in(lab, NICHE, ids(lab)[:1])
    assert roll_back(lab, NICHE) == before, "the newest that was served before, although two are numbered later"


def test_repeated_rollbacks_do_not_use_up_the_older_builds(lab: Lab) -> None:
    first = served(lab)
    add_views(lab)
    rebuild(lab)
    take_out(lab, NICHE, ids(lab)[:1])
    for _ in range(lab.settings.releases_kept + 1):
        roll_back(lab, NICHE)
        resume(lab, NICHE)
        build.prune_indices(lab, NICHE)
    roll_back(lab, NICHE)
    assert roll_back(lab, NICHE).info["as_of"] == first.info["as_of"]


def test_resuming_undoes_the_rollback_with_all_changes_made_before(lab: Lab) -> None:
    video, other = ids(lab)[:2]
    take_out(lab, NICHE, [video])
    take_out(lab, NICHE, [other])
    before = served(lab)
    roll_back(lab, NICHE)
    assert {video, other}.isdisjoint(served_ids(lab))
    assert resume(lab, NICHE) == before
    assert {video, other}.isdisjoint(served_ids(lab))


def test_resuming_undoes_two_rollbacks_together(lab: Lab) -> None:
    add_views(lab)
    rebuild(lab)
    take_out(lab, NICHE, ids(lab)[:1])
    before = served(lab)
    first, second = roll_back(lab, NICHE), roll_back(lab, NICHE)
    assert second.place_in_history < first.place_in_history < before.order
    assert resume(lab, NICHE) == before


def test_a_rollback_never_serves_a_build_that_failed_its_checks(lab: Lab) -> None:
    good = served(lab)
    execute(lab, "DELETE FROM videos WHERE niche = :niche AND video_id <> ALL(:ids)", niche=NICHE, ids=ids(lab)[:3])
    refused = build.build_index(lab, NICHE).release
    with pytest.raises(LabError, match="is not promoted"):
        build.promote_index(lab, NICHE)
    take_out(lab, NICHE, ids(lab)[:1])
    assert served(lab).release_id > refused.release_id
    assert roll_back(lab, NICHE).place_in_history == good.order


def test_many_small_changes_prune_neither_a_waiting_build_nor_the_release_served_before(lab: Lab) -> None:
    first = served(lab)
    add_views(lab)
    waiting = build.build_index(lab, NICHE).release
    for video in ids(lab)[:7]:
        take_out(lab, NICHE, [video])
    kept = {release.release_id for release in lab.releases.all(INDEX, NICHE)}
    assert {first.release_id, waiting.release_id} <= kept
    assert len(kept) <= 2 + lab.settings.releases_kept
    build.promote_index(lab, NICHE)
    assert served(lab).info["as_of"] == waiting.info["as_of"]
    assert served_ids(lab) == set(ids(lab)[7:])


def test_a_video_taken_out_is_not_served_by_a_build_that_read_it_before(lab: Lab) -> None:
    late = ids(lab)[0]
    take_out(lab, NICHE, [late])
    rebuild(lab)
    with lab.engine.begin() as connection:
        connection.execute(library_exclusions.delete())
    build.build_index(lab, NICHE)  # The build contains the video, but the served index does not.
    assert take_out(lab, NICHE, [late]).taken_out == []
    build.promote_index(lab, NICHE)
    assert late not in served_ids(lab)


def test_changes_made_before_the_retention_are_still_applied_to_a_build(lab: Lab) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    deleted, out, back = ids(lab)[:3]
    take_out(lab, NICHE, [back])
    build.build_index(lab, NICHE)
    take_out(lab, NICHE, [out])
    put_in(lab, NICHE, [back])
    execute(lab, "DELETE FROM videos WHERE video_id = :id", id=deleted)
    clean_indices(lab, NICHE, None)
    assert served_ids(lab) == set(ids(lab)) - {out}
    assert all(deleted not in NicheIndex.video_ids(release) for release in lab.releases.all(INDEX, NICHE))
    rebuild(lab)
    assert served_ids(lab) == set(ids(lab)) - {out}


def test_a_build_with_a_video_deleted_since_is_not_served_and_is_rebuilt(lab: Lab) -> None:
    before = served(lab)
    add_views(lab)
    build.build_index(lab, NICHE)
    execute(lab, "DELETE FROM videos WHERE video_id = :id", id=ids(lab)[0])
    with pytest.raises(LabError, match=r"deleted some of its videos \(1\)"):
        build.promote_index(lab, NICHE)
    assert served(lab) == before
    assert [request.niche for request in open_rebuild_requests(lab)] == [NICHE]
    rebuild(lab)
    assert open_rebuild_requests(lab) == []


def test_the_retention_deletes_unreadable_releases_and_staged_files(lab: Lab) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    add_views(lab)
    broken = build.build_index(lab, NICHE).release
    (broken.path / "manifest.json").write_text("")
    staged = broken.path.parent / ".staging-of-the-dead"
    staged.mkdir()
    (staged / "items.json").write_text("[]")
    clean_indices(lab, NICHE, None)
    assert not broken.path.exists()
    assert not staged.exists()


@pytest.mark.parametrize("name", ["manifest.json", "items.json", "index.faiss"])
def test_an_index_that_cannot_be_read_for_a_moment_stays_served(
    lab: Lab, refuse: Callable[[Path], None], name: str
) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    before = served(lab)
    execute(lab, "DELETE FROM videos WHERE video_id = :id", id=ids(lab)[0])
    refuse(before.path / name)
    with pytest.raises(LabError, match="Too many open files") as raised:
        clean_indices(lab, NICHE, None)
    assert raised.value.transient
    assert lab.releases.serving.current_id(INDEX, NICHE) == before.release_id
    assert before.path.is_dir()


def test_a_rebuild_request_stays_open_until_the_build_is_served(lab: Lab) -> None:
    request_rebuild(lab, NICHE, "a test asked")
    add_views(lab)
    build.build_index(lab, NICHE)
    assert len(open_rebuild_requests(lab)) == 1
    build.promote_index(lab, NICHE)
    assert open_rebuild_requests(lab) == []
    request_rebuild(lab, NICHE, "a test asked again, and nothing is new")
    build.build_index(lab, NICHE)
    assert open_rebuild_requests(lab) == []


def test_a_rollback_to_a_missing_or_damaged_release_is_refused_and_changes_nothing(lab: Lab) -> None:
    first = served(lab)
    with pytest.raises(LabError, match="has no older release that was served before"):
        roll_back(lab, NICHE)
    with pytest.raises(LabError, match=r"no readable manifest .*`thumblab index verify \w+` lists"):
        roll_back(lab, NICHE, "20200101T000000000000Z-00000000")
    with pytest.raises(LabError, match="is not the id of a release"):
        roll_back(lab, NICHE, f"../{OTHER}/{served(lab, OTHER).release_id}")
    add_views(lab)
    second = rebuild(lab)
    (first.path / "items.json").write_text("[]")
    with pytest.raises(ReleaseError, match="checksum"):
        roll_back(lab, NICHE)
    assert served(lab) == second
    assert lab.releases.serving.held(INDEX, NICHE) is None


def test_an_index_of_another_encoder_takes_no_change_and_requests_a_rebuild(
    lab: Lab, open_lab: Callable[..., Lab]
) -> None:
    before = served(lab)
    info = before.info | {"encoder": "another", "inputs": "x", "as_of": before.info["as_of"]}
    lab.releases.serving.promote(lab.releases.publish(INDEX, NICHE, lambda folder: None, info, sharing=before))
    with pytest.raises(
        RebuildRequiredError,
        match=r"made with the encoder another; the encoder in the settings is builtin.*thumblab index rebuild",
    ):
        put_in(lab, NICHE, ids(lab)[:1])
    (request,) = open_rebuild_requests(lab)
    assert (request.niche, "made with the encoder another" in request.reason) == (NICHE, True)
    assert any("a rebuild is requested" in remark for remark in index_status(lab, NICHE).remarks)
    add_views(lab)
    rebuild(lab)
    assert open_rebuild_requests(lab) == []
