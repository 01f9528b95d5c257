"""Test which niche the lab proposes for a new channel. The lab decides this by the titles of the channel's videos."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_core.niches import Niche
from thumblab_core.niches.store import add_niche, retire_niche
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niches import of_titles
from thumblab_pipelines.niches.of_titles import propose_niche
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord, save_channels, save_videos

PUBLISHED = datetime(2026, 10, 1, tzinfo=UTC)
THINGS = ("boss fight", "speedrun", "survival base", "multiplayer match", "secret level")
DISHES = ("chicken curry", "tomato soup", "banana bread", "vegan lasagne", "fried rice")
GAMES = [f"I beat the hardest {thing} in Minecraft" for thing in THINGS]
RECIPES = [f"How to cook a perfect {dish} at home" for dish in DISHES]


def store(lab: Lab, niche: str, channel: str, titles: Sequence[str]) -> None:
    """Store a channel with these titles, and encode the titles."""
    records = [
        VideoRecord(f"{channel}-{n}", niche, channel, title, PUBLISHED, 600, (), (), "api", PUBLISHED, 1000)
        for n, title in enumerate(titles)
    ]
    with lab.engine.begin() as connection:
        save_channels(connection, [ChannelRecord(channel, channel)])
        save_videos(connection, records)
    embed(lab, niche)


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with two channels about games and two channels about food."""
    lab = open_lab()
    for n, niche in enumerate(("gaming", "gaming", "beauty", "beauty")):
        titles = GAMES if niche == "gaming" else RECIPES
        store(lab, niche, f"UC{n}", [f"{title}, part {n}" for title in titles])
    return lab


def test_the_niche_of_the_channels_with_the_most_similar_titles_is_proposed(lab: Lab) -> None:
    proposal = propose_niche(lab, ["The longest Minecraft speedrun ever", "My Minecraft survival base after 100 days"])
    assert proposal.niche == "gaming"
    assert proposal.reason == "Of the 2 channels of the lab with the most similar titles, 2 are in gaming."
    assert propose_niche(lab, ["Easy tomato soup you can cook in ten minutes"]).niche == "beauty"


def test_titles_unlike_all_channels_get_no_niche_but_searches_for_a_new_one(lab: Lab) -> None:
    titles = ["Repointing a limestone chimney", "Limestone walls without mortar", "Why limestone crumbles in winter"]
    proposal = propose_niche(lab, titles)
    assert (proposal.niche, proposal.searches[0]) == (None, "limestone")
    assert proposal.reason == "No niche of the lab has channels with titles like these."


def test_the_searches_of_a_niche_without_videos_decide_if_no_channel_is_similar(lab: Lab) -> None:
    add_niche(lab.engine, lab.settings.data_dir, Niche("stonework", searches=("limestone", "dry stone")))
    titles = ["Repointing a LIMESTONE chimney", "A dry stone wall", "Grandstand of sandstones", "Mortar for beginners"]
    proposal = propose_niche(lab, titles)
    assert proposal.niche == "stonework"
    assert proposal.reason == "2 of 4 titles have a text that the niche stonework searches for."


def test_two_niches_with_searches_in_equally_many_titles_are_no_proposal(lab: Lab) -> None:
    for name, search in (("stonework", "limestone"), ("masonry", "mortar")):
        add_niche(lab.engine, lab.settings.data_dir, Niche(name, searches=(search,)))
    titles = ["Limestone and mortar", "Mortar for limestone walls"]
    assert propose_niche(lab, titles).niche is None
    assert propose_niche(lab, [*titles, "Old mortar"]).niche == "masonry"


@pytest.mark.parametrize("niches", [("tech", "news"), ("tech", "news", "tech", "news")])
def test_a_tie_of_two_niches_is_no_proposal(open_lab: Callable[..., Lab], niches: Sequence[str]) -> None:
    lab = open_lab()
    for n, niche in enumerate(niches):
        store(lab, niche, f"UC{n}", ["The moon landing, minute by minute"])
    assert propose_niche(lab, ["The moon landing, minute by minute"]).niche is None


def test_one_channel_that_outweighs_another_is_counted_in_the_singular(open_lab: Callable[..., Lab]) -> None:
    lab = open_lab()
    store(lab, "tech", "UC0", ["The moon landing, minute by minute"])
    store(lab, "news", "UC1", ["A visit to the moon of Saturn with a telescope"])
    proposal = propose_niche(lab, ["The moon landing, minute by minute"])
    assert proposal.reason == "Of the 2 channels of the lab with the most similar titles, 1 is in tech."


def test_a_proposal_by_searches_says_that_titles_could_not_be_compared(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise LabError(f"the title encoder {name} could not be loaded")

    monkeypatch.setattr(of_titles, "title_encoder", broken)
    add_niche(lab.engine, lab.settings.data_dir, Niche("stonework", searches=("limestone",)))
    proposal = propose_niche(lab, ["A limestone wall", "Why limestone crumbles"])
    assert (proposal.niche, proposal.reason) == (
        "stonework",
        "2 of 2 titles have a text that the niche stonework searches for; titles cannot be compared: "
        "the title encoder minilm could not be loaded.",
    )
    failed = propose_niche(lab, ["Why marble crumbles"]).reason
    assert failed.startswith("The lab cannot propose a niche, because titles cannot be compared: the title encoder")


def test_a_database_that_takes_too_long_is_named_instead_of_a_niche(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_titles, "_TITLES", text("SELECT pg_sleep(2)::text WHERE :most > 0"))
    monkeypatch.setattr(of_titles, "_STATEMENT_MS", 300)
    proposal = propose_niche(lab, GAMES)
    assert (proposal.niche, proposal.searches) == (None, [])
    assert proposal.reason == "The lab cannot propose a niche, because its database took more than 0.3 seconds."


def test_a_tie_is_no_proposal_and_a_retired_niche_is_never_proposed(lab: Lab) -> None:
    for n, niche in enumerate(("tech", "news", "people")):
        store(lab, niche, f"UCsame{n}", ["The moon landing, minute by minute"])
    assert propose_niche(lab, ["The moon landing, minute by minute"]).niche is None
    retire_niche(lab.engine, lab.settings.data_dir, "news")
    retire_niche(lab.engine, lab.settings.data_dir, "people")
    assert propose_niche(lab, ["The moon landing, minute by minute"]).niche == "tech"


def test_an_empty_lab_says_that_it_cannot_propose_and_why(open_lab: Callable[..., Lab]) -> None:
    proposal = propose_niche(open_lab(), GAMES)
    assert proposal.niche is None
    assert (
        proposal.reason == "The lab cannot propose a niche, because it has no titles that its title encoder has read."
    )
    assert proposal.searches == [], "no other title shows which words are of this topic"
