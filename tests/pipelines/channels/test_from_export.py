"""Tests of making a channel from Studio exports, with an emulator of YouTube's image host and without an API key."""

import errno
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from owner_exports import COLUMNS, NAME, Owner, write
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from demo.faults import html_error
from thumblab_core.channel_imports.report import ProposedNiche
from thumblab_core.database.lock_numbers import EXPORTS
from thumblab_core.database.tables import thumbnails, video_reach, video_stats, videos
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.niches.store import retire_niche
from thumblab_core.releases.release import UnreadError
from thumblab_core.releases.serving import Serving
from thumblab_pipelines.channels.add import list_channels
from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.from_export import (
    ImportedExports,
    NoNicheError,
    add_imported_channel,
    import_exports,
    picture_urls,
)
from thumblab_pipelines.channels.ready_encoders import EncoderMissingError, load_encoders
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import open_rebuild_requests
from thumblab_pipelines.progress import silent


def add(owner: Owner, *files: Path, **given: Any) -> ImportedExports:
    return import_exports(owner.lab, GivenExports(files, **{"niche": "tech"} | given))


def count(lab: Lab, table: Any) -> int:
    with lab.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_one_export_makes_an_adapted_channel_without_an_api_key(owner: Owner, tmp_path: Path) -> None:
    assert owner.lab.settings.youtube_api_key is None
    imported = add(owner, write(tmp_path / NAME, owner.rows()))
    number = len(owner.videos)
    assert (imported.channel.title, imported.niche) == ("My channel", "tech")
    assert (imported.videos, imported.new, imported.left_out) == (number, number, {})
    assert (imported.pictures, imported.downloaded, imported.missing) == (number, number, [])
    assert [report.with_ctr for report in imported.ctr] == [number]
    assert (owner.emulator.counts.calls, owner.emulator.counts.images) == ({}, number)
    added = add_imported_channel(owner.lab, imported.channel)
    assert (added.fitted.adapted, added.fitted.videos, added.fitted.left_out) == (True, number, {})
    assert [adapter.title for adapter in list_channels(owner.lab)] == ["My channel"]


def test_a_second_import_changes_nothing_and_requests_no_picture(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(8))
    add(owner, path)
    before = [count(owner.lab, table) for table in (videos, video_stats, thumbnails, video_reach)]
    requested = owner.emulator.counts.images
    again = add(owner, path, niche=None)
    assert (again.new, again.videos, again.downloaded) == (0, 8, 0)
    assert [count(owner.lab, table) for table in (videos, video_stats, thumbnails, video_reach)] == before
    assert owner.emulator.counts.images == requested


def test_an_import_keeps_the_exact_time_of_publication_in_every_time_zone(
    owner: Owner, tmp_path: Path, use_time_zone: Callable[[Lab, str], None]
) -> None:
    path = write(tmp_path / NAME, owner.rows(2))
    add(owner, path)
    use_time_zone(owner.lab, "Pacific/Honolulu")
    with owner.lab.engine.begin() as connection:
        connection.execute(update(videos).values(published_at=videos.c.published_at + timedelta(hours=5)))
    add(owner, path)
    with owner.lab.engine.connect() as connection:
        moments = connection.scalars(select(videos.c.published_at)).all()
    assert [moment.astimezone(UTC).hour for moment in moments] == [5, 5]


def test_exports_are_merged_and_an_unreadable_one_is_named(owner: Owner, tmp_path: Path) -> None:
    first = write(tmp_path / "Content 2015-01-01_2026-11-20 My channel.csv", owner.rows(5))
    second = write(tmp_path / NAME, owner.rows(8)[3:])
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\3\4 no")
    imported = add(owner, first, broken, second)
    assert imported.videos == 8
    assert [report.with_ctr for report in imported.ctr] == [5, 5]
    assert len(imported.refused) == 1
    assert "broken.zip is a damaged .zip file" in imported.refused[0]
    # Two of the 8 videos are in both exports, which are from different days, so these two videos have two view counts
    # each.
    assert count(owner.lab, video_stats) == 10


def test_the_facts_of_the_newest_export_count_in_any_order_of_the_files(owner: Owner, tmp_path: Path) -> None:
    rows = owner.rows(6)
    older = write(tmp_path / "Content 2015-01-01_2026-11-20 My channel.csv", rows)
    newer = write(tmp_path / NAME, [[*row[:1], "Renamed", *row[2:]] for row in rows])
    add(owner, newer, older)
    with owner.lab.engine.connect() as connection:
        assert set(connection.scalars(select(videos.c.title))) == {"Renamed"}


def test_videos_that_cannot_be_used_are_counted_by_reason(owner: Owner, tmp_path: Path) -> None:
    short, untitled, undated, later, unseen, *good = owner.videos[:10]
    rows = [
        owner.row(short, Duration="40"),
        owner.row(untitled, **{"Video title": ""}),
        owner.row(undated, **{"Video publish time": ""}),
        owner.row(later, **{"Video publish time": "Nov 27, 2026"}),
        owner.row(unseen, Views=""),
        *map(owner.row, good),
    ]
    imported = add(owner, write(tmp_path / NAME, rows))
    assert imported.videos == 5
    assert imported.left_out == {
        "Shorts, or up to three minutes and therefore possibly Shorts": 1,
        "no title that can be read": 1,
        "no date of publication that can be read": 1,
        "published after the day of the export": 1,
        "no count of views that can be read": 1,
    }
    assert owner.emulator.counts.images == 5


def test_an_export_without_lengths_is_used_if_its_hours_show_that_no_video_is_a_short(
    owner: Owner, tmp_path: Path
) -> None:
    at = COLUMNS.index("Duration")
    rows = [
        [cell for n, cell in enumerate(owner.row(video, **{"Watch time (hours)": str(video.views / 10)})) if n != at]
        for video in owner.videos[:7]
    ]
    # The cell is the average watch time per view, in seconds. The value is so low that the video may be a Short.
    rows[0][4] = "0.1"
    imported = add(owner, write(tmp_path / NAME, rows, [name for name in COLUMNS if name != "Duration"]))
    fitted = add_imported_channel(owner.lab, imported.channel).fitted
    assert (fitted.videos, fitted.left_out) == (6, {"of unknown length (may be a Short)": 1})
    [remark] = [remark for remark in imported.remarks if "no length" in remark]
    assert remark.startswith("1 of 7 videos have no length, and nothing in the exports shows that they are not Shorts")
    assert remark.endswith("with the column Duration"), (
        "the table has the column of watch hours, so the remark must not ask for it"
    )


def test_a_channel_moves_to_the_niche_that_is_given_later_and_back(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    first = add(owner, path)
    assert not any("niche" in remark for remark in first.remarks)
    for old, new in (("tech", "gaming"), ("gaming", "tech")):
        again = import_exports(owner.lab, GivenExports([path], niche=new))
        assert (again.niche, again.channel.channel_id) == (new, first.channel.channel_id)
        assert any(f"was moved from the niche {old} to {new}, with 6 videos" in remark for remark in again.remarks)
        with owner.lab.engine.connect() as connection:
            of_channel = select(videos.c.niche).where(videos.c.channel_id == first.channel.channel_id)
            assert set(connection.scalars(of_channel)) == {new}
    assert import_exports(owner.lab, GivenExports([path])).niche == "tech"


def test_a_channel_with_collected_videos_stays_in_their_niche(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    add(owner, path)
    with owner.lab.engine.begin() as connection:
        collected = videos.c.video_id == owner.videos[0].video_id
        connection.execute(update(videos).where(collected).values(source="youtube"))
    again = import_exports(owner.lab, GivenExports([path], niche="gaming"))
    assert again.niche == "tech"
    assert any("in the niche tech already, so gaming was not used" in remark for remark in again.remarks)


def test_new_videos_go_into_the_given_niche_if_the_niche_of_the_channel_is_retired(
    owner: Owner, tmp_path: Path
) -> None:
    add(owner, write(tmp_path / NAME, owner.rows(4)))
    retire_niche(owner.lab.engine, owner.lab.settings.data_dir, "tech")
    more = write(tmp_path / NAME, owner.rows(6))
    with pytest.raises(LabError, match="no niche of the lab has a video of 'My channel' yet; say with --niche"):
        add(owner, more, niche=None)
    assert add(owner, more, niche="gaming").niche == "gaming"
    assert niches(owner.lab) == ["gaming"] * 2 + ["tech"] * 4


def niches(lab: Lab) -> list[str]:
    with lab.engine.connect() as connection:
        return sorted(connection.scalars(select(videos.c.niche)))


def test_a_channel_with_videos_in_several_niches_is_not_moved(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    add(owner, path)
    # Two of the six videos move to the niche gaming, as if a catalogue had named this niche for them.
    with owner.lab.engine.begin() as connection:
        in_gaming = videos.c.video_id.in_([video.video_id for video in owner.videos[:2]])
        connection.execute(update(videos).where(in_gaming).values(niche="gaming"))
    for niche in ("education", "gaming"):
        again = import_exports(owner.lab, GivenExports([path], niche=niche))
        assert again.niche == "tech"
        said = f"has videos in the niches gaming and tech, so it was not moved to {niche}"
        assert any(said in remark for remark in again.remarks)
    assert niches(owner.lab) == ["gaming"] * 2 + ["tech"] * 4


def test_a_channel_moves_only_together_with_the_requests_to_rebuild(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    add(owner, path)
    monkeypatch.setattr(Serving, "current_id", lambda *_: "a release")
    with owner.lab.engine.begin() as connection:  # The request to rebuild the index of gaming fails.
        connection.execute(text("ALTER TABLE index_rebuilds ADD CONSTRAINT fails CHECK (niche <> 'gaming')"))
    with pytest.raises(IntegrityError):
        import_exports(owner.lab, GivenExports([path], niche="gaming"))
    assert niches(owner.lab) == ["tech"] * 6
    with owner.lab.engine.begin() as connection:
        connection.execute(text("ALTER TABLE index_rebuilds DROP CONSTRAINT fails"))
    import_exports(owner.lab, GivenExports([path], niche="gaming"))
    assert niches(owner.lab) == ["gaming"] * 6
    assert [request.niche for request in open_rebuild_requests(owner.lab)] == ["gaming", "tech"]


def test_a_missing_picture_is_named_and_requested_again_the_next_time(owner: Owner, tmp_path: Path) -> None:
    gone, postponed = owner.videos[0].video_id, owner.videos[1].video_id
    path = write(tmp_path / NAME, [*owner.rows(7), owner.row(owner.videos[7], Content="no_such_vid")])
    owner.emulator.inject(html_error(403), endpoint="image", times=1)
    imported = add(owner, path)
    assert (imported.videos, imported.pictures, imported.without_picture) == (8, 6, 2)
    assert sum("YouTube has no picture of it (private or deleted?)" in text for text in imported.missing) == 1
    assert sum("gave no answer" in sentence for sentence in imported.missing) == 1
    assert [(cause.count, len(cause.newest)) for cause in imported.causes] == [(1, 1), (1, 1)]
    again = add(owner, path)
    assert (again.downloaded, again.without_picture) == (1, 1)
    assert " (no_such_vid): " in again.missing[0], (
        "the remark must begin with the title, because a person does not know the id"
    )
    assert gone != postponed


def test_a_silent_image_host_is_named_and_the_videos_stay(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    owner.emulator.stop()
    imported = add(owner, path)
    assert (imported.videos, imported.pictures) == (6, 0)
    assert any("the image host did not answer" in remark for remark in imported.remarks)


def test_an_encoder_that_cannot_be_loaded_stops_the_import_before_a_picture_is_requested(
    open_lab: Callable[..., Lab], owner: Owner, tmp_path: Path
) -> None:
    given = GivenExports([write(tmp_path / NAME, owner.rows(6))], niche="tech")
    broken = open_lab(youtube_endpoint=owner.emulator.endpoint, image_encoder="open_clip:ViT-B-32//nowhere/weights.pt")
    with pytest.raises(
        EncoderMissingError, match=r"^the image encoder ViT-B-32//nowhere/weights.pt could not be loaded"
    ):
        import_exports(broken, given)
    assert (count(broken, videos), owner.emulator.counts.images) == (6, 0)
    mended = open_lab(beside=broken, image_encoder="builtin")
    again = import_exports(mended, given)
    assert (again.new, again.downloaded) == (0, 6)
    assert import_exports(broken, given).pictures == 6, "with all pictures there is nothing to prepare for"


@pytest.mark.parametrize("error", [UnreadError("the precision cannot be read now"), OSError(errno.EIO, "disk")])
def test_an_encoder_that_could_not_be_read_this_time_does_not_count_as_missing(
    owner: Owner, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object) -> None:
        raise error

    monkeypatch.setattr("thumblab_pipelines.channels.ready_encoders.named_image_encoder", unread)
    with pytest.raises(type(error)) as raised:
        load_encoders(owner.lab, silent)
    assert raised.value is error


def test_a_new_channel_without_a_niche_gets_a_proposal_and_nothing_is_stored(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, owner.rows(6))
    with pytest.raises(
        NoNicheError, match="The lab cannot propose a niche, because it has no titles that its title encoder has read"
    ) as raised:
        add(owner, path, niche=None)
    assert raised.value.proposal is not None
    assert (raised.value.proposal.niche, count(owner.lab, videos)) == (None, 0)
    add(owner, path)
    embed(owner.lab, "tech")
    other = write(tmp_path / "Content 2015-01-01_2026-11-26 Other.csv", owner.rows(12)[6:])
    with pytest.raises(NoNicheError, match="So the lab proposes --niche tech") as raised:
        add(owner, other, niche=None)
    assert raised.value.proposal is not None
    assert (raised.value.proposal.niche, count(owner.lab, videos)) == ("tech", 6)


def test_other_imports_need_not_wait_while_a_niche_is_proposed(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[bool] = []

    def propose(lab: Lab, _: object) -> ProposedNiche:
        with lab.engine.begin() as connection:
            lock = {"lock": EXPORTS}
            free.append(bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), lock)))
        return ProposedNiche(niche=None, reason="None fits.", searches=[])

    monkeypatch.setattr("thumblab_pipelines.channels.from_export.propose_niche", propose)
    with pytest.raises(NoNicheError, match="None fits"):
        add(owner, write(tmp_path / NAME, owner.rows(6)), niche=None)
    assert free == [True]


def test_without_a_niche_or_a_name_the_error_says_what_to_give(owner: Owner, tmp_path: Path) -> None:
    named, nameless = (write(tmp_path / name, owner.rows(6)) for name in (NAME, "Table data.csv"))
    with pytest.raises(LabError, match="say with --niche which niche the channel is in"):
        add(owner, named, niche=None)
    with pytest.raises(LabError, match="there is no niche 'knitting'; the niches are tech, "):
        add(owner, named, niche="knitting")
    with pytest.raises(LabError, match="give its title or its id with --name"):
        add(owner, nameless)
    assert add(owner, nameless, name="Chosen").channel.title == "Chosen"
    assert add(owner, named, niche=None).channel.title == "Chosen"
    assert count(owner.lab, videos) == 6


def test_another_channel_of_the_same_name_is_not_mixed_in(owner: Owner, tmp_path: Path) -> None:
    first = add(owner, write(tmp_path / NAME, owner.rows(6)))
    other = write(tmp_path / NAME, owner.rows(12)[6:])
    with pytest.raises(LabError, match=f"give --name {first.channel.channel_id}"):
        add(owner, other)
    assert add(owner, other, name=first.channel.channel_id).channel == first.channel


def test_the_videos_are_imported_even_without_a_served_model(
    open_lab: Callable[..., Lab], owner: Owner, tmp_path: Path
) -> None:
    lab = open_lab(youtube_endpoint=owner.emulator.endpoint)
    imported = import_exports(lab, GivenExports([write(tmp_path / NAME, owner.rows(6))], niche="tech"))
    assert (imported.videos, imported.pictures) == (6, 6)
    with pytest.raises(NoServedModelError):
        add_imported_channel(lab, imported.channel)


def test_pictures_come_from_youtubes_image_host_by_the_id_of_the_video(open_lab: Callable[..., Lab]) -> None:
    urls = picture_urls(open_lab(), "dQw4w9WgXcQ")
    assert urls[0] == "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg"
    assert urls[-1] == "https://i.ytimg.com/vi/dQw4w9WgXcQ/default.jpg"
