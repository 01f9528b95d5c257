"""Promises of changing what a niche serves: at once, for good, never lost to a build, never over a person's rollback."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import select, text

from thumblab_cli.main import cli
from thumblab_core.database.tables import embeddings, index_rebuilds, library_exclusions, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex, Only, RebuildRequiredError
from thumblab_core.releases.release import INDEX, Release, ReleaseError
from thumblab_pipelines.features import baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build
from thumblab_pipelines.library.changes import put_in, resume, roll_back, take_out
from thumblab_pipelines.library.rebuild_requests import ask_for_rebuild, rebuilds_asked_for
from thumblab_pipelines.library.search import search_libraries
from thumblab_pipelines.library.status import index_status, verify_releases

NICHE, OTHER = "tech", "news"


@pytest.fixture(scope="module")
def prepared(
    small: Any, open_lab: Callable[..., Lab], copied_database: Callable[[str], str], tmp_path_factory: Any
) -> Lab:
    """Two niches that are embedded, built and served."""
    small.lab.engine.dispose()
    folder = tmp_path_factory.mktemp("prepared")
    url = copied_database(small.lab.engine.url.render_as_string(hide_password=False))
    lab = open_lab(data_dir=folder, database_url=SecretStr(url))
    lab = open_lab(beside=lab, data_dir=folder)
    shutil.copytree(small.lab.settings.images, lab.settings.images, dirs_exist_ok=True)
    for niche in (NICHE, OTHER):
        embed(lab, niche)
        baselines.compute_baselines(lab, niche)
        build.build_index(lab, niche)
        build.promote_index(lab, niche)
    return lab


@pytest.fixture
def lab(prepared: Lab, open_lab: Callable[..., Lab], copied_database: Callable[[str], str], tmp_path: Path) -> Lab:
    prepared.engine.dispose()
    url = copied_database(prepared.engine.url.render_as_string(hide_password=False))
    folder = Path(shutil.copytree(prepared.settings.data_dir, tmp_path / "lab"))
    return open_lab(data_dir=folder, database_url=SecretStr(url))


def ids(lab: Lab, niche: str = NICHE) -> list[str]:
    with lab.engine.connect() as connection:
        return list(
            connection.scalars(select(videos.c.video_id).where(videos.c.niche == niche).order_by(videos.c.video_id))
        )


def served(lab: Lab, niche: str = NICHE) -> Release:
    release = lab.releases.serving.current(INDEX, niche)
    assert release is not None
    return release


def held_by(lab: Lab, niche: str = NICHE) -> set[str]:
    return {item.video_id for item in NicheIndex.load(served(lab, niche)).items}


def do(lab: Lab, statement: str, **values: object) -> None:
    with lab.engine.begin() as connection:
        connection.execute(text(statement), values)


def rebuild(lab: Lab) -> Release:
    build.build_index(lab, NICHE)
    return build.promote_index(lab, NICHE).release


def test_what_is_taken_out_is_gone_at_once_and_from_every_index_that_is_built(lab: Lab) -> None:
    victim, *rest = ids(lab)
    before = served(lab)
    changed = take_out(lab, NICHE, [victim])
    assert (changed.taken_out, changed.skipped, changed.release) == ([victim], {}, served(lab))
    assert held_by(lab) == set(rest)
    assert served(lab).info["changed_since"] == 1
    assert served(lab) != before
    built = rebuild(lab)
    assert built.info["changed_since"] == 0
    assert held_by(lab) == set(rest)


def test_what_is_put_in_again_is_there_at_once_and_stays(lab: Lab) -> None:
    victim = ids(lab)[0]
    take_out(lab, NICHE, [victim])
    assert put_in(lab, NICHE, [victim]).put_in == [victim]
    assert held_by(lab) == set(ids(lab))
    rebuild(lab)
    assert held_by(lab) == set(ids(lab))


def test_a_new_count_of_views_is_served_as_soon_as_the_video_is_put_in_anew(lab: Lab) -> None:
    video = ids(lab)[0]
    do(lab, "UPDATE video_stats SET view_count = 123456789 WHERE video_id = :id", id=video)
    put_in(lab, NICHE, [video])
    index = NicheIndex.load(served(lab))
    found = index.search(index.vector_of(video), 1)[0]
    assert found.item.video_id == video
    assert found.item.views_per_hour > 10_000
    assert len(index) == len(ids(lab))


def test_a_video_without_a_vector_is_encoded_first(lab: Lab) -> None:
    video = ids(lab)[0]
    do(lab, "DELETE FROM embeddings WHERE video_id = :id", id=video)
    rebuild(lab)
    assert video not in held_by(lab)
    assert put_in(lab, NICHE, [video]).put_in == [video]
    assert video in held_by(lab)


def test_each_video_that_cannot_be_put_in_says_why_and_stops_no_other(lab: Lab) -> None:
    good, without_picture, long_gone = ids(lab)[:3]
    stranger = ids(lab, OTHER)[0]
    do(lab, "UPDATE thumbnails SET sha256 = NULL, problem = 'gone' WHERE video_id = :id", id=without_picture)
    do(lab, "UPDATE video_stats SET observed_at = observed_at - interval '99 days' WHERE video_id = :id", id=long_gone)
    changed = put_in(lab, NICHE, [good, without_picture, long_gone, stranger, "nobody", good])
    assert changed.put_in == [good]
    assert {video: why.split(";")[0] for video, why in changed.skipped.items()} == {
        without_picture: "its thumbnail was not downloaded",
        long_gone: "it was first collected or last observed more than 90 days before the niche's newest observation, "
        "or is no plain video",
        stranger: f"it is a video of {OTHER}",
        "nobody": "the lab does not know it",
    }


def test_taking_out_what_is_not_there_says_so(lab: Lab) -> None:
    gone = ids(lab)[0]
    take_out(lab, NICHE, [gone])
    before = served(lab)
    changed = take_out(lab, NICHE, [gone, "nobody"])
    assert changed.skipped == {
        gone: "it was not in the served index; later builds leave it out",
        "nobody": f"no video of {NICHE} in the lab",
    }
    assert served(lab) == before


def test_what_changed_while_an_index_was_being_built_is_in_it_when_it_is_served(lab: Lab) -> None:
    out, back = ids(lab)[:2]
    take_out(lab, NICHE, [back])
    build.build_index(lab, NICHE)  # read before what follows
    take_out(lab, NICHE, [out])
    put_in(lab, NICHE, [back])
    release = build.promote_index(lab, NICHE).release
    assert release.info["changed_since"] == 2
    assert held_by(lab) == set(ids(lab)) - {out}


def test_a_build_that_is_older_than_what_is_served_is_never_promoted_over_it(lab: Lab) -> None:
    take_out(lab, NICHE, ids(lab)[:1])
    before = served(lab)
    assert build.promote_index(lab, NICHE).release == before
    assert served(lab) == before


def test_a_rolled_back_index_stays_until_a_person_resumes(lab: Lab) -> None:
    first = served(lab)
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    second = rebuild(lab)
    assert roll_back(lab, NICHE) == first
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    assert rebuild(lab) == first
    assert f"rolled back from {second.release_id}" in str(build.promote_index(lab, NICHE).held)
    for change in (put_in, take_out):
        with pytest.raises(LabError, match=f"tech is held: .*thumblab index resume {NICHE}"):
            change(lab, NICHE, ids(lab)[:1])
    newest = resume(lab, NICHE)
    assert newest == served(lab)
    assert newest.release_id > second.release_id
    put_in(lab, NICHE, ids(lab)[:1])


def test_resuming_undoes_the_rollback_with_every_change_that_was_made_before(lab: Lab) -> None:
    victim, other = ids(lab)[:2]
    take_out(lab, NICHE, [victim])
    take_out(lab, NICHE, [other])
    before = served(lab)
    roll_back(lab, NICHE)
    assert other in held_by(lab)
    assert resume(lab, NICHE) == before
    assert {victim, other}.isdisjoint(held_by(lab))


def test_two_steps_back_are_undone_together(lab: Lab) -> None:
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    rebuild(lab)
    take_out(lab, NICHE, ids(lab)[:1])
    before = served(lab)
    first, second = roll_back(lab, NICHE), roll_back(lab, NICHE)
    assert second.release_id < first.release_id < before.release_id
    assert resume(lab, NICHE) == before


def test_a_build_that_was_refused_is_never_rolled_back_to(lab: Lab) -> None:
    good = served(lab)
    do(lab, "DELETE FROM videos WHERE niche = :niche AND video_id <> ALL(:ids)", niche=NICHE, ids=ids(lab)[:2])
    refused = build.build_index(lab, NICHE).release
    with pytest.raises(LabError, match="is not promoted"):
        build.promote_index(lab, NICHE)
    take_out(lab, NICHE, ids(lab)[:1])
    assert served(lab).release_id > refused.release_id
    assert roll_back(lab, NICHE) == good


def test_many_small_changes_crowd_out_neither_a_waiting_build_nor_what_served_before(lab: Lab) -> None:
    first = served(lab)
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    waiting = build.build_index(lab, NICHE).release
    for video in ids(lab)[:7]:
        take_out(lab, NICHE, [video])
    kept = {release.release_id for release in lab.releases.all(INDEX, NICHE)}
    assert {first.release_id, waiting.release_id} <= kept
    assert len(kept) <= 2 + lab.settings.releases_kept
    build.promote_index(lab, NICHE)
    assert served(lab).info["as_of"] == waiting.info["as_of"]
    assert held_by(lab) == set(ids(lab)[7:])


def test_what_was_taken_out_is_not_in_a_build_that_was_read_before_whatever_was_served(lab: Lab) -> None:
    late = ids(lab)[0]
    take_out(lab, NICHE, [late])
    rebuild(lab)
    with lab.engine.begin() as connection:
        connection.execute(library_exclusions.delete())
    build.build_index(lab, NICHE)  # has it, and what is served has not
    assert take_out(lab, NICHE, [late]).taken_out == []
    build.promote_index(lab, NICHE)
    assert late not in held_by(lab)


def test_putting_a_video_into_the_wrong_niche_does_not_put_it_back_into_its_own(lab: Lab) -> None:
    victim = ids(lab, OTHER)[0]
    take_out(lab, OTHER, [victim])
    assert put_in(lab, NICHE, [victim]).put_in == []
    with lab.engine.connect() as connection:
        assert list(connection.scalars(select(library_exclusions.c.video_id))) == [victim]


def test_what_was_changed_before_the_retention_is_still_told_to_a_build(lab: Lab) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    forgotten, out, back = ids(lab)[:3]
    take_out(lab, NICHE, [back])
    build.build_index(lab, NICHE)
    take_out(lab, NICHE, [out])
    put_in(lab, NICHE, [back])
    do(lab, "DELETE FROM videos WHERE video_id = :id", id=forgotten)
    clean_indices(lab, NICHE, None)
    assert held_by(lab) == set(ids(lab)) - {out}
    assert all(forgotten not in NicheIndex.video_ids(release) for release in lab.releases.all(INDEX, NICHE))
    rebuild(lab)
    assert held_by(lab) == set(ids(lab)) - {out}


def test_a_build_with_a_video_that_was_forgotten_since_is_not_served_and_is_made_anew(lab: Lab) -> None:
    before = served(lab)
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    build.build_index(lab, NICHE)
    do(lab, "DELETE FROM videos WHERE video_id = :id", id=ids(lab)[0])
    with pytest.raises(LabError, match="deleted from the lab since: 1"):
        build.promote_index(lab, NICHE)
    assert served(lab) == before
    assert [asked.niche for asked in rebuilds_asked_for(lab)] == [NICHE]
    rebuild(lab)
    assert rebuilds_asked_for(lab) == []


def test_the_retention_leaves_no_file_that_nobody_can_read(lab: Lab) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    broken = build.build_index(lab, NICHE).release
    (broken.path / "manifest.json").write_text("")
    staged = broken.path.parent / ".staging-of-the-dead"
    staged.mkdir()
    (staged / "items.json").write_text("[]")
    clean_indices(lab, NICHE, None)
    assert not broken.path.exists()
    assert not staged.exists()


@pytest.mark.parametrize("name", ["manifest.json", "items.json", "index.faiss"])
def test_an_index_that_cannot_be_read_for_a_moment_is_served_on(
    lab: Lab, refuse: Callable[[Path], None], name: str
) -> None:
    from thumblab_pipelines.retention.purge import clean_indices

    before = served(lab)
    do(lab, "DELETE FROM videos WHERE video_id = :id", id=ids(lab)[0])
    refuse(before.path / name)
    with pytest.raises(LabError, match="Too many open files") as raised:
        clean_indices(lab, NICHE, None)
    assert raised.value.transient
    assert lab.releases.serving.current_id(INDEX, NICHE) == before.release_id
    assert before.path.is_dir()


def test_a_rebuild_is_remembered_until_it_is_served(lab: Lab) -> None:
    ask_for_rebuild(lab, NICHE, "a test asked")
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    build.build_index(lab, NICHE)
    assert len(rebuilds_asked_for(lab)) == 1
    build.promote_index(lab, NICHE)
    assert rebuilds_asked_for(lab) == []
    ask_for_rebuild(lab, NICHE, "a test asked again, and nothing is new")
    build.build_index(lab, NICHE)
    assert rebuilds_asked_for(lab) == []


def test_a_rollback_to_nothing_or_to_a_damaged_release_is_refused_and_changes_nothing(lab: Lab) -> None:
    first = served(lab)
    with pytest.raises(LabError, match="served no release before"):
        roll_back(lab, NICHE)
    with pytest.raises(LabError, match=r"no readable manifest .*`thumblab index verify \w+` lists"):
        roll_back(lab, NICHE, "20200101T000000000000Z-00000000")
    with pytest.raises(LabError, match="is not the id of a release"):
        roll_back(lab, NICHE, f"../{OTHER}/{served(lab, OTHER).release_id}")
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    second = rebuild(lab)
    (first.path / "items.json").write_text("[]")
    with pytest.raises(ReleaseError, match="checksum"):
        roll_back(lab, NICHE)
    assert served(lab) == second
    assert lab.releases.serving.held(INDEX, NICHE) is None


def test_an_index_of_another_encoder_takes_nothing_and_asks_to_be_built_anew(
    lab: Lab, open_lab: Callable[..., Lab]
) -> None:
    before = served(lab)
    info = before.info | {"encoder": "another", "inputs": "x", "as_of": before.info["as_of"]}
    lab.releases.serving.promote(lab.releases.publish(INDEX, NICHE, lambda folder: None, info, sharing=before))
    with pytest.raises(
        RebuildRequiredError, match=r"made with another, the settings say builtin.*thumblab index rebuild"
    ):
        put_in(lab, NICHE, ids(lab)[:1])
    (asked,) = rebuilds_asked_for(lab)
    assert (asked.niche, "made with another" in asked.reason) == (NICHE, True)
    assert any("a rebuild is requested" in remark for remark in index_status(lab, NICHE).remarks)
    do(lab, "UPDATE video_stats SET view_count = view_count + 1000")
    rebuild(lab)
    assert rebuilds_asked_for(lab) == []


def test_too_many_changes_ask_for_a_build_and_change_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_core.index import niche_index

    monkeypatch.setattr(niche_index, "_LEAST_CHANGES", 2)
    take_out(lab, NICHE, ids(lab)[:2])
    before = served(lab)
    with pytest.raises(RebuildRequiredError, match=r"3 videos changed since .* built, and at most 2 changes"):
        take_out(lab, NICHE, ids(lab)[2:3])
    assert served(lab) == before
    assert len(rebuilds_asked_for(lab)) == 1
    rebuild(lab)
    assert held_by(lab) == set(ids(lab)[3:])


def test_the_second_writer_waits_for_the_first(lab: Lab) -> None:
    one, two = ids(lab)[:2]
    threads = [threading.Thread(target=take_out, args=(lab, NICHE, [video])) for video in (one, two)]
    with lab.releases.serving.changing(INDEX, NICHE):
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert {one, two} <= held_by(lab)
    for thread in threads:
        thread.join(30)
    assert held_by(lab) == set(ids(lab)) - {one, two}


def test_a_writer_that_waited_in_vain_is_told(lab: Lab) -> None:
    with (
        lab.releases.serving.changing(INDEX, NICHE),
        pytest.raises(ReleaseError, match="index/tech has been changed by another process"),
        lab.releases.serving.changing(INDEX, NICHE, patience=0.1),
    ):
        pass


def test_the_search_finds_a_video_in_its_niche_and_its_like_in_all(lab: Lab) -> None:
    video = ids(lab)[0]
    found = search_libraries(lab, (OTHER, NICHE), 200, Only(), video_id=video)
    assert {hit.niche for hit in found.hits} == {NICHE, OTHER}
    assert len(found.hits) == len(ids(lab)) + len(ids(lab, OTHER)) - 1
    assert [hit.similarity for hit in found.hits] == sorted((hit.similarity for hit in found.hits), reverse=True)
    days = sorted(hit.item.published_on for hit in found.hits if hit.item.published_on)
    since = search_libraries(lab, (NICHE, OTHER), 200, Only(since=days[-3]), video_id=video)
    assert {hit.item.published_on for hit in since.hits} <= set(days[-3:])
    assert since.hits


def test_words_cannot_be_searched_without_a_text_tower(lab: Lab) -> None:
    with pytest.raises(LabError, match="builtin-768-v3 has no text tower"):
        search_libraries(lab, (NICHE,), 5, Only(), words="a red car")


def test_a_damaged_release_is_named(lab: Lab) -> None:
    assert [(one.served, one.fault) for one in verify_releases(lab, NICHE)] == [(True, None)]
    (served(lab).path / "calibration.npy").write_bytes(b"")
    assert "calibration.npy does not match" in (verify_releases(lab, NICHE)[0].fault or "")


@pytest.fixture
def command(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    from thumblab_cli.commands import index

    monkeypatch.setattr(index, "_lab", lambda: lab)
    return lambda *arguments: CliRunner().invoke(cli, ["index", *arguments], catch_exceptions=False)


def test_the_commands_say_what_they_did(command: Callable[..., Any], lab: Lab) -> None:
    first, second, *_ = ids(lab)
    assert f"{first}: out" in command("delete", NICHE, first).output
    refused = command("delete", NICHE, "nobody")
    assert (refused.exit_code, "no video of tech in the lab" in refused.output) == (1, True)
    assert f"{first}: in" in command("upsert", NICHE, first).output
    assert "held there" in command("rollback", NICHE).output
    assert "held: rolled back" in command("status", NICHE).output
    assert command("upsert", NICHE, second).exit_code == 1
    assert "tech serves" in command("resume", NICHE).output
    assert "good" in command("verify", NICHE).output
    assert command("rebuild", NICHE).exit_code == 0
    assert "tech: " in command("prune", NICHE, "--keep", "1").output
    found = command("search", "--video", first, "--niche", NICHE, "-k", "3", "--json")
    assert found.exit_code == 0
    assert '"niche": "tech"' in found.output
    assert command("search").exit_code == 2
    assert command("rebuild", "gaming").exit_code == 0  # what was not encoded is encoded first


def test_the_tables_forget_with_the_video(lab: Lab) -> None:
    victim = ids(lab)[0]
    take_out(lab, NICHE, [victim])
    do(lab, "DELETE FROM videos WHERE video_id = :id", id=victim)
    with lab.engine.connect() as connection:
        assert connection.execute(select(library_exclusions)).all() == []
        assert connection.execute(select(index_rebuilds)).all() == []
        assert connection.execute(select(embeddings).where(embeddings.c.video_id == victim)).all() == []
