"""Test how the service finds the channel that a request names, with and without a database."""

import psycopg
import pytest
from sqlalchemy import create_engine, insert

from thumblab_core.database.tables import channels
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.channel_names import ChannelNames
from thumblab_serving.loading.database import ServiceDatabase, database_message

YOUTUBE_ID = "UC" + "a" * 22


@pytest.fixture(scope="module")
def database_url(migrated_database):
    url = migrated_database()
    rows = [("UC" + "b" * 22, "Beta", "@beta.tv"), ("alpha", "Alpha channel", None)]
    rows += [("twin1", "Twin", "@twin"), ("twin2", "Twin", None), ("other", "@beta.tv", None)]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": i, "title": t, "handle": h} for i, t, h in rows])
    engine.dispose()
    return url


@pytest.fixture(params=["with a database", "without one"])
def names(request, lab_at, database_url, tmp_path):
    settings = {"database_url": database_url} if request.param == "with a database" else {}
    lab = lab_at(tmp_path, **settings)
    lab.add_adapter("UCadded", lab.promote(lab.model()), videos=9)
    database = ServiceDatabase(lab.settings)
    names = ChannelNames(ReleaseStore(lab.settings.releases), database)
    names.has_database = bool(settings)
    yield names
    database.close()


def test_a_channel_is_found_by_its_title_in_the_database_or_of_its_adapter(names):
    assert names.id_of("The UCadded") == "UCadded"
    assert names.id_of("Beta") == ("UC" + "b" * 22 if names.has_database else "Beta")
    assert names.id_of("Alpha channel") == ("alpha" if names.has_database else "Alpha channel")


def test_a_channel_is_found_by_its_handle_in_any_case_before_a_channel_with_the_handle_as_its_title(names):
    for given in ("@beta.tv", "@Beta.TV"):
        assert names.id_of(given) == ("UC" + "b" * 22 if names.has_database else given)
    assert names.id_of("@twin") == ("twin1" if names.has_database else "@twin")


def test_the_title_of_a_channel_is_that_of_its_adapter_or_of_the_database(names):
    assert names.title_of("UCadded") == "The UCadded"
    assert names.title_of("alpha") == ("Alpha channel" if names.has_database else None)
    for unknown in ("UCunknown", "a name with spaces", "../all", "a\0b"):
        assert names.title_of(unknown) is None


def test_an_id_stays_as_it_is(names):
    for given in (YOUTUBE_ID, "UCadded", "alpha", "UCunknown"):
        assert names.id_of(given) == given


def test_a_name_that_the_database_cannot_take_does_not_stop_the_search_for_others(names):
    for given in ("@\0", "a\0b", "\udc80"):
        assert names.id_of(given) == given
        assert names.id_of("Beta") == ("UC" + "b" * 22 if names.has_database else "Beta")


def test_an_unknown_or_ambiguous_name_stays_as_it_is(names):
    for given in ("Twin", "nobody", "@handle", "../all", "'; DROP TABLE channels; --"):
        assert names.id_of(given) == given


def test_a_database_of_an_older_lab_is_to_be_migrated():
    advice = "the database could not answer (UndefinedColumn); run `thumblab db migrate`"
    assert database_message(psycopg.errors.UndefinedColumn('column "handle" does not exist')) == advice
