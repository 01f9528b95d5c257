"""Tests of the channels that an import with an API key may change, and of the changes that only the lab may make."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from owner_exports import NAME, Owner, write
from sqlalchemy import insert, select, text

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_cli.main import cli
from thumblab_core.database.channels import Channel, channel_of_id
from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_core.experiments.usual_ctr import usual_ctr
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_pipelines.channels.export_channel import GivenExports, NoNameError, NotYoursError
from thumblab_pipelines.channels.from_export import ImportedExports, import_exports
from thumblab_pipelines.channels.give import give_channel
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio import import_studio
from thumblab_pipelines.videos.names import channel_id_of

ALICE, BOB = "alice#0123456789abcdef", "bob#fedcba9876543210"
REAL_ID = "UC" + "a" * 22
UNNAMED = "Table data.csv"


@pytest.fixture(scope="module")
def shared(open_lab: Any, catalogue: SyntheticCatalogue) -> Iterator[Owner]:
    """A lab without a model, and the videos of the largest channel of the emulated YouTube."""
    with Emulator(catalogue) as emulator:
        channel = max(catalogue.channels.values(), key=lambda channel: len(channel.videos))
        yield Owner(open_lab(youtube_endpoint=emulator.endpoint), emulator, channel.videos)


@pytest.fixture
def owner(shared: Owner) -> Owner:
    """The fixture `shared`, with an empty database."""
    with shared.lab.engine.begin() as connection:
        connection.execute(text("TRUNCATE channels, videos, video_reach CASCADE"))
    return shared


def add(owner: Owner, path: Path, of: str | None = ALICE, **given: Any) -> ImportedExports:
    return import_exports(owner.lab, GivenExports([path], **{"niche": "tech", "owner": of} | given))


def rows(owner: Owner, first: int, last: int, **changed: str) -> list[list[str]]:
    return [owner.row(video, **changed) for video in owner.videos[first:last]]


def state(lab: Lab) -> list[Sequence[Any]]:
    """Return the stored names of channels, facts of videos, and click-through rates."""
    with lab.engine.connect() as connection:
        facts = select(videos.c.video_id, videos.c.channel_id, videos.c.title).order_by(videos.c.video_id)
        rates = select(video_reach.c.video_id, video_reach.c.click_through_rate).order_by(video_reach.c.video_id)
        names = select(channels.c.channel_id, channels.c.title, channels.c.owner).order_by(channels.c.channel_id)
        return [row for statement in (names, facts, rates) for row in connection.execute(statement)]


def stored(lab: Lab, channel: Channel) -> Channel | None:
    with lab.engine.connect() as connection:
        return channel_of_id(connection, channel.channel_id)


@pytest.fixture
def mine(owner: Owner, tmp_path: Path) -> ImportedExports:
    """The result of an import with Alice's key. Alice's channel now has the first six videos."""
    return add(owner, write(tmp_path / NAME, rows(owner, 0, 6)), name="Alice cooks")


def test_a_channel_belongs_to_the_key_that_sent_it_and_the_key_may_add_to_it(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    channel = stored(owner.lab, mine.channel)
    assert channel is not None
    assert (channel.owner, channel.title) == (ALICE, "Alice cooks")
    more = add(owner, write(tmp_path / NAME, rows(owner, 4, 9)), niche=None)
    assert (more.channel, more.new, more.videos, more.remarks) == (channel, 3, 5, [])
    named = add(owner, write(tmp_path / UNNAMED, rows(owner, 9, 11)), name="Alice cooks")
    by_id = add(owner, write(tmp_path / UNNAMED, rows(owner, 11, 12)), name=channel.channel_id)
    assert (named.channel, by_id.channel) == (channel, channel)


@pytest.mark.parametrize("name", [None, "Bob", "Alice cooks", "the id"])
def test_a_key_changes_nothing_of_a_channel_of_another_key(
    owner: Owner, mine: ImportedExports, tmp_path: Path, name: str | None
) -> None:
    """Import Alice's six videos with Bob's key, with changed facts. Each case uses another name for the channel."""
    before = state(owner.lab)
    path = write(tmp_path / NAME, rows(owner, 0, 6, **{"Video title": "Changed", "Views": "7"}))
    with pytest.raises(NotYoursError, match="ask the lab's owner to import the exports with `thumblab channel add`"):
        add(owner, path, BOB, name=mine.channel.channel_id if name == "the id" else name)
    assert state(owner.lab) == before


@pytest.mark.parametrize("name", ["Alice cooks", "ALICE  cooks", "the id"])
def test_a_key_adds_no_videos_to_a_channel_of_another_key(
    owner: Owner, mine: ImportedExports, tmp_path: Path, name: str
) -> None:
    before = state(owner.lab)
    with pytest.raises(LabError, match="ask the lab's owner"):
        add(
            owner,
            write(tmp_path / UNNAMED, rows(owner, 6, 12)),
            BOB,
            name=mine.channel.channel_id if name == "the id" else name,
        )
    assert state(owner.lab) == before


def test_a_key_changes_nothing_of_a_channel_that_the_lab_has_collected_or_imported(
    owner: Owner, tmp_path: Path
) -> None:
    lab_own = add(owner, write(tmp_path / NAME, rows(owner, 0, 6)), None).channel
    now = datetime.now(UTC)
    with owner.lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=REAL_ID, title="Collected", refreshed_at=now))
        row = {"niche": "tech", "title": "t", "tags": [], "source": "youtube", "published_at": now, "refreshed_at": now}
        ids = [video.video_id for video in owner.videos[6:9]]
        connection.execute(insert(videos), [row | {"video_id": id_, "channel_id": REAL_ID} for id_ in ids])
    before = state(owner.lab)
    for first, last in ((0, 6), (6, 9)):
        with pytest.raises(NotYoursError, match="belong to channels of others"):
            add(owner, write(tmp_path / NAME, rows(owner, first, last)), BOB)
    for name in (lab_own.channel_id, REAL_ID, "Collected", "My channel"):
        with pytest.raises(LabError, match="ask the lab's owner"):
            add(owner, write(tmp_path / UNNAMED, rows(owner, 9, 12)), BOB, name=name)
    assert state(owner.lab) == before


def test_videos_of_other_channels_stay_there_and_the_rest_of_the_export_is_imported(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    """Check that a person cannot block the import of a channel by importing a few of its videos first."""
    with owner.lab.engine.connect() as connection:
        rates = select(video_reach.c.video_id, video_reach.c.click_through_rate)
        alices = set(connection.execute(rates))
    changed = {"Impressions click-through rate (%)": "0.01", "Video title": "Changed"}
    bobs = add(owner, write(tmp_path / NAME, rows(owner, 4, 12, **changed)), BOB, name="Bob")
    assert (bobs.videos, bobs.new, bobs.pictures) == (6, 6, 6)
    assert bobs.ctr[0].with_ctr == 6
    assert "2 videos of the exports belong to other channels and stay there" in bobs.remarks
    with owner.lab.engine.connect() as connection:
        assert alices <= set(connection.execute(rates))
        of_alice = select(videos.c.title).where(videos.c.channel_id == mine.channel.channel_id)
        assert "Changed" not in set(connection.scalars(of_alice))


def test_a_key_stores_rates_only_of_the_videos_of_its_channel(owner: Owner, tmp_path: Path) -> None:
    """Import seven videos. One of them has no title. The lab must not import this video, and must store six rates."""
    nameless = owner.row(owner.videos[6], **{"Video title": ""})
    add(owner, write(tmp_path / NAME, [*rows(owner, 0, 6), nameless]))
    with owner.lab.engine.connect() as connection:
        assert len(connection.scalars(select(video_reach.c.video_id)).all()) == 6


def test_a_key_cannot_take_rates_that_the_lab_has_imported_without_the_videos(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, rows(owner, 0, 6))
    import_studio(owner.lab, path)
    before = state(owner.lab)
    with pytest.raises(NotYoursError, match="6 of the 6 videos"):
        add(owner, path, BOB)
    assert state(owner.lab) == before
    mixed = add(owner, write(tmp_path / NAME, rows(owner, 4, 12)), BOB)
    assert mixed.videos == 6
    with owner.lab.engine.connect() as connection:
        usual = usual_ctr(connection, mixed.channel.channel_id)
    assert usual is not None
    assert usual.videos == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("@carolbakes", "a title cannot begin with @"),
        ("\uff20carolbakes", "a title cannot begin with @"),
        ("&#64;carolbakes", "a title cannot begin with @"),
        ("https://www.youtube.com/@carolbakes", "a title cannot begin with @"),
        ("Carol\u202ebakes", "invisible or change the direction of text"),
        ("Carol\u200bbakes", "invisible or change the direction of text"),
        (f"\uff35C{'a' * 22}", "is a channel's id, and an id cannot be a title"),
    ],
)
def test_no_channel_gets_a_title_that_is_a_handle_or_an_id_or_has_hidden_characters(
    owner: Owner, tmp_path: Path, name: str, message: str
) -> None:
    for of in (BOB, None):
        with pytest.raises(NoNameError, match=message):
            add(owner, write(tmp_path / UNNAMED, rows(owner, 0, 6)), of, name=name)
    assert state(owner.lab) == []


def test_only_the_lab_claims_an_id_of_youtube_and_the_file_gives_the_title(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, rows(owner, 0, 6))
    for name in (REAL_ID, f"https://www.youtube.com/channel/{REAL_ID}"):
        with pytest.raises(NotYoursError, match=f"this key has no channel with the id {REAL_ID}"):
            add(owner, path, BOB, name=name)
    assert state(owner.lab) == []
    made = add(owner, path, None, name=REAL_ID).channel
    assert (made.channel_id, made.title, made.owner) == (REAL_ID, "My channel", None)


def test_the_name_of_a_file_has_no_hidden_characters_as_a_title(owner: Owner, tmp_path: Path) -> None:
    path = write(tmp_path / NAME.replace("My channel", "My\u202e channel"), rows(owner, 0, 6))
    assert add(owner, path).channel.title == "My channel"


def test_a_name_that_is_not_used_and_a_niche_that_changes_are_remarked(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    again = add(owner, write(tmp_path / UNNAMED, rows(owner, 0, 7)), name="Carol bakes", niche="gaming")
    assert (again.channel.title, again.niche, again.channel.owner) == ("Alice cooks", "gaming", ALICE)
    assert any("'Alice cooks'" in remark and "'Carol bakes' is not used" in remark for remark in again.remarks)
    assert any("was moved from the niche tech to gaming" in remark for remark in again.remarks)
    for of in (ALICE, None):
        same = add(owner, write(tmp_path / UNNAMED, rows(owner, 0, 7)), of, name="Alice  cooks", niche="gaming")
        assert same.remarks == []


def test_the_lab_itself_changes_every_channel_and_its_owner_keeps_it(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    path = write(tmp_path / UNNAMED, rows(owner, 0, 7, **{"Video title": "Changed"}))
    assert add(owner, path, None, name="Alice cooks").new == 1
    channel = stored(owner.lab, mine.channel)
    assert channel is not None
    assert channel.owner == ALICE
    with owner.lab.engine.connect() as connection:
        assert set(connection.scalars(select(videos.c.title))) == {"Changed"}


@pytest.mark.parametrize("name", [None, "My channel"])
def test_a_key_that_took_the_videos_first_gets_no_rates_of_the_exports_of_the_lab(
    owner: Owner, mine: ImportedExports, tmp_path: Path, name: str | None
) -> None:
    before, path = state(owner.lab), write(tmp_path / UNNAMED, rows(owner, 0, 9, **{"Video title": "Changed"}))
    channel_id = mine.channel.channel_id
    with pytest.raises(
        LabError,
        match=f"belongs to the key alice; name this channel with --name {channel_id}, or make .*give {channel_id} --lab`",
    ):
        add(owner, path, None, name=name)
    assert state(owner.lab) == before
    assert add(owner, path, None, name=channel_id).new == 3


def test_a_key_that_took_a_few_videos_first_neither_stops_the_export_of_the_lab_nor_gets_its_rates(
    owner: Owner, tmp_path: Path
) -> None:
    """Import two videos of a channel with Bob's key. Then import the whole channel without a key, for the lab itself."""
    changed = {"Impressions click-through rate (%)": "0.01"}
    bobs = add(owner, write(tmp_path / UNNAMED, rows(owner, 4, 6, **changed)), BOB, name="Bob").channel
    before = {row for row in state(owner.lab) if len(row) == 2}
    lab_own = add(owner, write(tmp_path / NAME, rows(owner, 0, 12)), None)
    assert (lab_own.channel.title, lab_own.channel.owner, lab_own.videos) == ("My channel", None, 10)
    assert lab_own.ctr[0].with_ctr == 10
    assert any("2 videos of the exports are in channels of API keys ('Bob')" in remark for remark in lab_own.remarks)
    assert before <= {row for row in state(owner.lab) if len(row) == 2}
    taken = add(owner, write(tmp_path / UNNAMED, rows(owner, 4, 6)), None, name=bobs.channel_id)
    assert (taken.channel, taken.ctr[0].changed) == (stored(owner.lab, bobs), 2)


def test_rates_that_the_lab_imports_without_a_channel_do_not_reach_channels_of_keys(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    before = {row for row in state(owner.lab) if len(row) == 2}
    changed = {"Impressions click-through rate (%)": "0.01"}
    report = import_studio(owner.lab, write(tmp_path / UNNAMED, rows(owner, 4, 9, **changed)))
    assert report.with_ctr == 3
    assert any("2 videos are in channels that belong to an API key" in remark for remark in report.remarks)
    assert before <= {row for row in state(owner.lab) if len(row) == 2}


def test_only_one_of_two_simultaneous_imports_gets_the_videos(owner: Owner, tmp_path: Path) -> None:
    def attempt(of: str) -> ImportedExports | LabError:
        (tmp_path / of).mkdir()
        try:
            return add(owner, write(tmp_path / of / UNNAMED, rows(owner, 0, 6)), of, name=f"Channel of {of[:3]}")
        except LabError as error:
            return error

    with ThreadPoolExecutor() as threads:
        results = list(threads.map(attempt, [ALICE, BOB]))
    assert sum(isinstance(result, NotYoursError) for result in results) == 1
    with owner.lab.engine.connect() as connection:
        assert len(set(connection.scalars(select(videos.c.channel_id)))) == 1


def test_the_id_that_a_title_gives_is_not_taken_by_another_spelling(
    owner: Owner, mine: ImportedExports, tmp_path: Path
) -> None:
    assert mine.channel.channel_id == channel_id_of("Alice cooks")
    for name in ("alice cooks", "Alice\u00a0cooks", "Alice cooks "):
        with pytest.raises(NoNameError, match="the lab has a channel called"):
            add(owner, write(tmp_path / UNNAMED, rows(owner, 6, 12)), BOB, name=name)


def test_the_lab_gives_a_channel_to_a_key_and_another_title(
    owner: Owner, mine: ImportedExports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give a channel with Alice's videos to Carol. Then add videos to the channel with Carol's key."""
    keys = NamedKeys(owner.lab.settings)
    keys.add("carol", ["score"])
    [carol] = [key.owner for key in keys.all()]
    path = write(tmp_path / UNNAMED, rows(owner, 0, 8))
    with pytest.raises(NotYoursError):
        add(owner, path, carol, name="Carol bakes")
    monkeypatch.setattr(Lab, "existing", lambda *_: owner.lab)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, ["channel", *arguments], catch_exceptions=True).output

    assert "belongs to the key carol" in run("give", "Alice cooks", "carol", "--title", "Carol bakes")
    carols = add(owner, path, carol, name="Carol bakes")
    assert (carols.new, carols.channel.title, carols.remarks) == (2, "Carol bakes", [])
    with pytest.raises(NotYoursError):
        add(owner, path, ALICE)
    assert "belongs to the lab" in run("give", "Carol bakes", "--lab")
    with pytest.raises(NotYoursError):
        add(owner, path, carol)
    with pytest.raises(LabError, match="no key named 'dave'; the named keys are: carol"):
        give_channel(owner.lab, "Carol bakes", "dave")
    with pytest.raises(LabError, match="give the channel to the lab with --lab"):
        give_channel(owner.lab, "Carol bakes", "default")
    with pytest.raises(LabError, match="the lab knows no channel called 'Carol bake' \\(do you mean 'Carol bakes'"):
        give_channel(owner.lab, "Carol bake", "carol")
    for title, message in (("@carol", "^a title cannot begin with @.* --title$"), (" ", "^the given title is empty;")):
        with pytest.raises(LabError, match=message):
            give_channel(owner.lab, "Carol bakes", "carol", title)


def test_if_the_adapter_cannot_be_fitted_the_error_says_that_the_channel_is_given_already(
    owner: Owner, mine: ImportedExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChannelAdapters, "channels", lambda _: [mine.channel.channel_id])
    with pytest.raises(LabError, match=r"is called 'Carol bakes' and belongs to the lab now, .* old title: no .*model"):
        give_channel(owner.lab, "Alice cooks", None, "Carol bakes")
    changed = stored(owner.lab, mine.channel)
    assert changed is not None
    assert (changed.title, changed.owner) == ("Carol bakes", None)
