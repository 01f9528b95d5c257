"""Tests of reading titles and the names of channels.

HTML entities such as `&amp;` are decoded. Different spellings of a channel name are read as the same channel.
"""

import base64
import csv
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event, select, text

from thumblab_core.database import schema
from thumblab_core.database.tables import channels, videos
from thumblab_core.given_text import visible
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.collection.catalogue_rows import REQUIRED
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.names import channel_id_of, plain_text, unescaped
from thumblab_pipelines.youtube import answers

WRITTEN = {
    "Rubik&#39;s cube &amp; me: I &quot;solved&quot; it": 'Rubik\'s cube & me: I "solved" it',
    "escaped twice &amp;amp; thrice &amp;amp;amp;#39;": "escaped twice & thrice '",
    "hex &#x27;a&#X27; and accents &eacute;": "hex 'a' and accents é",
    "&lt;b&gt; is bold": "<b> is bold",
    "R&D; AT&T, Q&A &c": "R&D; AT&T, Q&A &c",
    "no semicolon &amp &copy=2 &notit": "no semicolon &amp &copy=2 &notit",
    "unknown &foo; &#99999999; &;": "unknown &foo; &#99999999; &;",
    "a control &#0;&#7;&#xD800; stays": "a control &#0;&#7;&#xD800; stays",
    " &nbsp;spaces ": "spaces",
    "nothing to do": "nothing to do",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_the_text_of_a_catalogue_is_read_as_a_person_wrote_it(text: str) -> None:
    assert plain_text(text) == WRITTEN[text]


def test_results_of_the_search_are_decoded_once_and_other_answers_are_not() -> None:
    item = {"id": {"videoId": "v"}, "snippet": {"channelId": "UCx", "channelTitle": "Learn &amp;amp; &#39;HTML&#39;"}}
    assert answers.parse_hit(item).channel_title == "Learn &amp; 'HTML'"
    assert (
        answers.parse_channel({"id": "UCx", "snippet": {"title": "A &amp; B"}}, datetime.now(UTC)).title == "A &amp; B"
    )
    assert unescaped("&amp;amp;") == "&amp;"


SAME = [
    "Tom & Jerry's Lab",
    "Tom &amp; Jerry&#39;s Lab",
    "  Tom  &\u00a0Jerry's Lab\u200b",
    "Tom &amp;amp; Jerry's Ｌab",
]


def test_a_channel_has_one_id_for_all_spellings_but_case_counts() -> None:
    assert len({channel_id_of(name) for name in SAME}) == 1
    assert len({channel_id_of(name) for name in ("Été", "E\u0301te\u0301")}) == 1
    assert channel_id_of("MrBeast") != channel_id_of("MRBEAST")


def test_a_title_of_invisible_marks_does_not_count_as_visible() -> None:
    assert not any(map(visible, ["", " ", "\u200b", "\u2060\ufeff", "\u00a0"]))
    assert all(map(visible, ["a", "👨‍👩‍👧", "\u200b!", "مراجعة"]))


def test_two_spellings_in_a_catalogue_give_one_channel_and_the_import_reports_the_decoding(
    open_lab: Callable[..., Lab], tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    lab = open_lab()
    rows = [
        {"video_id": f"v{n}", "niche": "tech", "channel": name, "title": "Q &amp; A" if n else "\u200b", "views": "5",
         "published_on": "2026-01-01", "observed_at": "2026-02-01", "image": f"{n}.jpg", "tags": "r&amp;b, x"}
        for n, name in enumerate(SAME)
    ]  # fmt: skip
    for n in range(len(rows)):
        (tmp_path / f"{n}.jpg").write_bytes(drawn(n))
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*REQUIRED, "tags"])
        table.writeheader()
        table.writerows(rows)
    report = import_catalogue(lab, tmp_path)
    assert [(p.video_id, p.problem) for p in report.problems] == [("v0", "title is missing")]
    with lab.engine.connect() as connection:
        [(channel_id, title)] = connection.execute(select(channels.c.channel_id, channels.c.title)).all()
        stored = set(connection.execute(select(videos.c.title, videos.c.tags[1])).all())
    assert channel_id == channel_id_of(SAME[0])
    assert title == "Tom & Jerry's Ｌab"  # The title is the decoded name of the last row.
    assert stored == {("Q & A", "r&b")}
    remarks = [remark for remark in report.remarks if "HTML entities" in remark]
    assert len(remarks) == 3
    assert "HTML entities in title of 3 rows were decoded, such as on line 3, 'Q &amp; A' is read as 'Q & A'" in remarks


def old_id(name: str) -> str:
    """Return the channel id that earlier versions of the lab made from a name, without decoding its HTML entities."""
    return "UC" + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()[:22]


def test_the_migration_merges_channels_of_two_spellings_with_their_references(
    new_database: Callable[[], str],
) -> None:
    engine = create_engine(new_database())
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    at = datetime(2026, 2, 1, tzinfo=UTC)
    escaped, plain, alone, spaced = "Tom &amp; Jerry", "Tom & Jerry", "Q&amp;A", "Bench  Channel"
    youtube = "UC" + "y" * 22

    def put(connection: Any, table: str, **values: Any) -> None:
        named = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({named})"), values)

    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        owners = {name: old_id(name) for name in (escaped, plain, alone, spaced)} | {"Real &amp; Co": youtube}
        for number, (name, channel_id) in enumerate(owners.items()):
            source = "youtube" if channel_id == youtube else "catalogue"
            put(connection, "channels", channel_id=channel_id, title=name)
            put(
                connection, "videos", video_id=f"v{number}", niche="tech", channel_id=channel_id, title=f"{number} &amp; B",
                published_at=at, tags=[], source=source, refreshed_at=at,
            )  # fmt: skip
            put(
                connection, "thumbnail_versions", video_id=f"v{number}", first_seen=at, last_seen=at, sha256="0" * 64,
                title=f"{number} &amp; B",
            )  # fmt: skip
            band = {"age_band": "all", "video_count": 1, "median_views": number, "median_views_per_hour": number}
            put(connection, "channel_baselines", niche="tech", channel_id=channel_id, **band)
            evaluation = {"release_id": "r", "split": "future", "scorer": "model", "metric": "auc", "evaluated_at": at}
            put(connection, "model_evaluations", slice=f"channel:{channel_id}", pairs=1, channels=1, **evaluation)
        put(connection, "crawl_channels", channel_id=owners[escaped], niche="tech", found_at=at)
        crawled = {"video_id": "w", "niche": "tech", "published_at": at}
        put(connection, "crawl_videos", channel_id=owners[escaped], **crawled)
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_: sent.append(statement))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        of_titles = [
            statement for statement in sent if " SET title = " in statement and "UPDATE channels" not in statement
        ]
        assert len(of_titles) == 2, "there is one statement for each table, whatever the number of titles"
        first, second, third = (channel_id_of(name) for name in (plain, "Q&A", "Bench Channel"))
        title_by_id = dict(connection.execute(text("SELECT channel_id, title FROM channels")).all())
        assert title_by_id == {first: plain, second: "Q&A", third: "Bench Channel", youtube: "Real &amp; Co"}
        owner = connection.execute(text("SELECT video_id, channel_id, title FROM videos ORDER BY video_id")).all()
        assert [row.channel_id for row in owner] == [first, first, second, third, youtube]
        titles = [*(f"{number} & B" for number in range(4)), "4 &amp; B"]
        assert [row.title for row in owner] == titles
        versions = connection.execute(text("SELECT title FROM thumbnail_versions ORDER BY video_id")).scalars().all()
        assert versions == titles
        baselines = dict(connection.execute(text("SELECT channel_id, median_views FROM channel_baselines")).all())
        assert baselines == {first: 1.0, second: 2.0, third: 3.0, youtube: 4.0}
        assert connection.execute(text("SELECT channel_id FROM crawl_videos")).scalars().all() == [first]
        assert connection.execute(text("SELECT channel_id FROM crawl_channels")).scalars().all() == [first]
        slices = set(connection.execute(text("SELECT slice FROM model_evaluations")).scalars())
        assert slices >= {f"channel:{name}" for name in (first, second, third, youtube)}
    with engine.begin() as connection:  # A second run of the migration changes nothing.
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
        command.upgrade(config, "0006")
        assert dict(connection.execute(text("SELECT channel_id, title FROM channels")).all()) == title_by_id
    engine.dispose()


def test_the_migration_and_the_import_read_names_alike() -> None:
    import importlib

    migration = importlib.import_module("thumblab_core.database.migrations.versions.0006_names_and_shorts")
    for name in (*WRITTEN, *SAME):
        assert migration._written(name) == plain_text(name)
        assert migration._made_of(migration._key(name)) == channel_id_of(name)
