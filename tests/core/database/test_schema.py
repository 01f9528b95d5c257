"""Test the migrations and the constraints of the tables. A migrated database has the tables that the code expects."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from thumblab_core.database import schema
from thumblab_core.database.lock_numbers import MIGRATION
from thumblab_core.database.tables import (
    channel_baselines,
    channels,
    embeddings,
    metadata,
    thumbnails,
    video_stats,
    videos,
)
from thumblab_core.errors import LabError

NewDatabase = Callable[[], str]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(new_database: NewDatabase) -> str:
    url = new_database()
    schema.migrate(url)
    return url


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def insert_video(connection: Connection, video_id: str, channel_id: str) -> None:
    """Insert a channel with one video."""
    connection.execute(insert(channels).values(channel_id=channel_id, title=channel_id))
    times = {"published_at": NOW, "collected_at": NOW, "refreshed_at": NOW}
    facts = {"niche": "tech", "title": "t", "tags": [], "source": "youtube"}
    connection.execute(insert(videos).values(video_id=video_id, channel_id=channel_id, **facts, **times))


def test_the_tables_in_the_code_match_the_migrated_database(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(url: str) -> None:
    before = tables(url)
    schema.migrate(url)
    assert tables(url) == before == {*metadata.tables, "alembic_version"}


def test_newest_tables_are_opened_without_the_slow_import_of_alembic(url: str) -> None:
    script = (
        "import sys; from thumblab_core.database.schema import open_database; open_database(sys.argv[1]).dispose(); "
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, url]).returncode == 0


def test_two_processes_that_migrate_at_once_both_find_the_schema(new_database: NewDatabase) -> None:
    fresh = new_database()
    script = "import sys; from thumblab_core.database.schema import open_database; open_database(sys.argv[1]).dispose()"
    both = [
        subprocess.Popen([sys.executable, "-c", script, fresh], stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    for process in both:
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
    assert tables(fresh) == {*metadata.tables, "alembic_version"}


def test_a_migration_waits_for_a_running_one(new_database: NewDatabase) -> None:
    fresh = new_database()
    engine = create_engine(fresh)
    waiting = threading.Thread(target=schema.migrate, args=(fresh,))
    with engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION})
        waiting.start()
        waiting.join(0.7)
        assert waiting.is_alive()
        assert tables(fresh) == set()
        other.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION})
    waiting.join(30)
    assert tables(fresh) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_a_migration_releases_its_lock_and_connections(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        mine = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        held = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {mine}"
        assert connection.execute(text(held)).scalar_one() == 0
    engine.dispose()


def test_a_downgrade_removes_everything_and_an_upgrade_restores_it(migrated_database: NewDatabase) -> None:
    from alembic import command

    fresh = migrated_database()
    engine = create_engine(fresh)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert tables(fresh) == {"alembic_version"}
    assert inspect(engine).get_view_names() == []
    engine.dispose()
    schema.migrate(fresh)
    assert tables(fresh) == {*metadata.tables, "alembic_version"}


def test_evaluations_with_the_old_columns_for_auc_survive_upgrade_and_downgrade(
    new_database: NewDatabase,
) -> None:
    from alembic import command

    engine = create_engine(new_database())
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    before = {
        **{"release_id": "r", "split": "future", "slice": "2x", "scorer": "model", "pairs": 7, "channels": 2},
        **{"auc": 0.6, "auc_low": 0.5, "auc_high": 0.7, "evaluated_at": NOW},
    }
    names = ", ".join(before)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        values = ", ".join(f":{name}" for name in before)
        connection.execute(text(f"INSERT INTO model_evaluations ({names}) VALUES ({values})"), before)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        row = connection.execute(text("SELECT * FROM model_evaluations")).one()
        assert (row.metric, row.value, row.low, row.high, row.pairs) == ("auc", 0.6, 0.5, 0.7, 7)
        another = {**row._asdict(), "metric": "ece", "low": None, "high": None}
        values = ", ".join(f":{name}" for name in another)
        connection.execute(text(f"INSERT INTO model_evaluations ({', '.join(another)}) VALUES ({values})"), another)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert connection.execute(text(f"SELECT {names} FROM model_evaluations")).one()._asdict() == before
    engine.dispose()


def test_evaluations_from_before_the_migration_answer_the_question_of_packages(new_database: NewDatabase) -> None:
    from alembic import command

    engine = create_engine(new_database())
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    row = {
        **{"release_id": "r", "split": "future", "slice": "all", "scorer": "model", "metric": "auc"},
        **{"value": 0.6, "pairs": 7, "channels": 2, "evaluated_at": NOW},
    }
    put = text(f"INSERT INTO model_evaluations ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        connection.execute(put, row)
        command.upgrade(config, "0009")
        assert connection.execute(text("SELECT question FROM model_evaluations")).scalars().all() == ["package"]
        names = ", ".join([*row, "question"])
        values = ", ".join([*(f":{name}" for name in row), "'one_title'"])
        connection.execute(text(f"INSERT INTO model_evaluations ({names}) VALUES ({values})"), row)
        command.downgrade(config, "0008")
        assert connection.execute(text("SELECT value FROM model_evaluations")).scalars().all() == [0.6]
    engine.dispose()


def test_a_database_of_a_newer_version_of_the_lab_is_refused_in_a_sentence(migrated_database: NewDatabase) -> None:
    url = migrated_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LabError, match=r"a newer version of the lab has changed this database \(9999\); install"):
        schema.migrate(url)


def test_the_view_of_the_library_has_the_documented_columns_and_the_right_rows(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id="c", title="A channel"))
        connection.execute(
            insert(videos),
            [
                {
                    "video_id": name,
                    "niche": "tech",
                    "channel_id": "c",
                    "title": f"Title {name}",
                    "published_at": NOW - timedelta(hours=100),
                    "tags": [],
                    "thumbnail_urls": [f"https://i.ytimg.com/vi/{name}/mqdefault.jpg"],
                    "source": "youtube",
                    "collected_at": NOW,
                    "refreshed_at": NOW,
                }
                for name in ("full", "stale", "uncounted", "bare")
            ],
        )
        connection.execute(
            insert(video_stats),
            [
                {"video_id": "full", "observed_at": NOW - timedelta(hours=50), "view_count": 10, "era": "e"},
                {"video_id": "full", "observed_at": NOW, "view_count": 5_000, "era": "e"},
                {"video_id": "full", "observed_at": NOW + timedelta(hours=1), "view_count": None, "era": "e"},
                {"video_id": "stale", "observed_at": NOW, "view_count": 1, "era": "e"},
                {"video_id": "uncounted", "observed_at": NOW, "view_count": None, "era": "e"},
                {"video_id": "bare", "observed_at": NOW, "view_count": 1, "era": "e"},
            ],
        )
        pictured = ("full", "stale", "uncounted")
        connection.execute(
            insert(thumbnails),
            [{"video_id": name, "sha256": name * 7, "fetched_at": NOW, "checked_at": NOW} for name in pictured],
        )
        digests = {"full": "full" * 7, "stale": "another picture", "uncounted": "uncounted" * 7}
        connection.execute(
            insert(embeddings),
            [
                {"video_id": name, "encoder": "e", "source_digest": digests[name], "vector": [1.0] * 768}
                for name in pictured
            ],
        )
        connection.execute(
            insert(channel_baselines).values(
                niche="tech",
                channel_id="c",
                age_band="all",
                video_count=3,
                median_views=1.0,
                median_views_per_hour=25.0,
            )
        )
    wanted = (
        "video_id, niche, title, thumbnail_url, views_per_hour, view_count, published_at, channel_title, embedding, "
        "collected_at, outlier_multiple"
    )
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {wanted} FROM ref_thumbnails")).all()
    engine.dispose()
    # The view `ref_thumbnails` has only videos with a picture, a vector of this picture and a view count. The count in
    # the view is the latest count of the video.
    assert [row.video_id for row in rows] == ["full"]
    row = rows[0]
    assert (row.niche, row.view_count, row.channel_title, row.collected_at) == ("tech", 5_000, "A channel", NOW)
    assert row.views_per_hour == pytest.approx(50)
    assert row.outlier_multiple == pytest.approx(2)
    assert row.embedding.count(",") == 767


@pytest.mark.parametrize(
    "bad",
    [
        {"sha256": None, "problem": None},
        {"sha256": "a" * 64, "problem": "but there it is"},
    ],
)
def test_a_thumbnail_has_either_a_picture_or_a_problem(url: str, bad: dict[str, str | None]) -> None:
    engine = create_engine(url)
    with pytest.raises(IntegrityError, match="picture_or_problem"), engine.begin() as connection:
        insert_video(connection, "x", channel_id="d")
        connection.execute(insert(thumbnails).values(video_id="x", fetched_at=NOW, checked_at=NOW, **bad))
    engine.dispose()


def test_a_negative_count_is_refused(url: str) -> None:
    engine = create_engine(url)
    with pytest.raises(IntegrityError, match="views"), engine.begin() as connection:
        insert_video(connection, "n", channel_id="n")
        connection.execute(insert(video_stats).values(video_id="n", observed_at=NOW, view_count=-1, era="e"))
    with engine.connect() as connection:
        assert connection.execute(select(channels).where(channels.c.channel_id == "n")).all() == []
    engine.dispose()
