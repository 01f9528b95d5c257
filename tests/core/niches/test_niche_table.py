"""Test which changes of the table of niches are accepted and which are refused. Also test that the file of niches in
the data folder always agrees with the table.
"""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

from thumblab_core.database import schema
from thumblab_core.errors import LabError
from thumblab_core.niches import (
    DEFAULT_NAMES,
    DEFAULT_NICHES,
    LARGEST_NICHES,
    Niche,
    NicheConflictError,
    NicheFile,
    UnknownNicheError,
)
from thumblab_core.niches.niche import checked
from thumblab_core.niches.niche_file import NICHE_FILE, read_names
from thumblab_core.niches.store import (
    add_niche,
    all_niches,
    edit_niche,
    niche_named,
    niche_names,
    restore_niche,
    retire_niche,
    write_niche_file,
)

COOKING = Niche("cooking", 26, "AU", "en", ("recipe", "meal prep"), ("@chef",), ("asmr",))


@pytest.fixture
def engine(migrated_database: Callable[[], str]) -> Engine:
    return create_engine(migrated_database())


def in_file(folder: Path) -> tuple[str, ...] | None:
    return read_names(folder / NICHE_FILE)


def test_a_new_lab_has_the_seven_niches_with_their_categories(engine: Engine) -> None:
    with engine.connect() as connection:
        stored = [replace(niche, added_at=None) for niche in all_niches(connection)]
    assert stored == list(DEFAULT_NICHES)


def test_a_lab_of_an_older_version_opens_with_the_seven_niches(new_database: Callable[[], str]) -> None:
    from alembic import command

    url = new_database()
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with engine.begin() as connection:
        schema.make_extension(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "0018")
    schema.migrate(url)
    assert niche_names(engine) == DEFAULT_NAMES
    engine.dispose()


def test_an_added_niche_is_stored_as_given_and_follows_the_others(engine: Engine, tmp_path: Path) -> None:
    stored = add_niche(engine, tmp_path, COOKING)
    assert replace(stored, added_at=None) == COOKING
    assert stored.added_at is not None
    assert niche_names(engine) == in_file(tmp_path) == (*DEFAULT_NAMES, "cooking")


def test_texts_are_trimmed_and_links_become_handles(engine: Engine, tmp_path: Path) -> None:
    given = Niche("a", searches=(" one ", "one"), channels=("https://www.youtube.com/@Chef", "@chef"))
    stored = add_niche(engine, tmp_path, given)
    assert (stored.searches, stored.channels) == (("one",), ("@chef",))


@pytest.mark.parametrize(
    "name", ["", "Cooking", "a b", "../a", "-a", "a/b", "a" * 41, "all", "proposals", "nul", "kochén", "a\n", "a'"]
)
def test_a_name_that_cannot_be_a_folder_a_path_and_a_partition_is_refused(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    with pytest.raises(LabError, match="cannot be the name of a niche"):
        add_niche(engine, tmp_path, Niche(name, 26))
    assert niche_names(engine) == DEFAULT_NAMES


def test_a_niche_whose_name_became_a_path_of_the_service_stays_and_can_be_changed(
    engine: Engine, tmp_path: Path
) -> None:
    add_niche(engine, tmp_path, COOKING)
    with engine.begin() as connection:  # Imitate an older version of the lab, which did not reserve this name.
        connection.execute(text("UPDATE niches SET name = 'proposals' WHERE name = 'cooking'"))
    write_niche_file(engine, tmp_path)
    assert in_file(tmp_path) == (*DEFAULT_NAMES, "proposals")
    with engine.connect() as connection:
        stored = niche_named(connection, "proposals")
    assert edit_niche(engine, replace(stored, searches=("recipe",))).searches == ("recipe",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"category_id": 0}, "category"),
        ({"category_id": None, "searches": (), "channels": ()}, "would have no videos"),
        ({"region": "au"}, "region"),
        ({"region": "A&"}, "region"),
        ({"language": "english please"}, "language"),
        ({"searches": ("a\x00b",)}, "search"),
        ({"searches": ("x" * 101,)}, "search"),
        ({"searches": tuple("abcdefghijk")}, "at most 10"),
        ({"searches": ("\u200b",)}, "search"),
        ({"channels": ("A Title",)}, "id or @handle"),
        ({"channels": ("https://evil.example/@a",)}, "not a link to a channel"),
        ({"channels": tuple(f"@c{n}" for n in range(51))}, "at most 50"),
        ({"exclude": ("a\u202eb",)}, "excluded word"),
    ],
)
def test_values_that_no_niche_can_have_are_refused(
    engine: Engine, tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(LabError, match=said):
        add_niche(engine, tmp_path, replace(COOKING, **changed))  # type: ignore[arg-type]
    assert niche_names(engine) == DEFAULT_NAMES


def test_the_database_itself_refuses_a_name_that_is_no_key(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(Exception, match="ck_niches_name"):
        connection.execute(text("INSERT INTO niches (name) VALUES ('../x')"))


def test_a_niche_is_retired_and_restored_with_all_that_was_stored_about_it(engine: Engine, tmp_path: Path) -> None:
    added = add_niche(engine, tmp_path, COOKING)
    assert retire_niche(engine, tmp_path, "cooking")
    assert niche_names(engine) == in_file(tmp_path) == DEFAULT_NAMES
    assert not retire_niche(engine, tmp_path, "cooking")
    with pytest.raises(LabError, match="`thumblab niche restore cooking`"):
        add_niche(engine, tmp_path, COOKING)
    assert restore_niche(engine, tmp_path, "cooking")
    assert not restore_niche(engine, tmp_path, "cooking")
    with engine.connect() as connection:
        assert niche_named(connection, "cooking") == added
    assert in_file(tmp_path) == (*DEFAULT_NAMES, "cooking")


def test_a_niche_of_the_defaults_can_be_retired_but_the_last_niche_cannot(engine: Engine, tmp_path: Path) -> None:
    for name in DEFAULT_NAMES[:-1]:
        assert retire_niche(engine, tmp_path, name)
    with pytest.raises(LabError, match="news is the only niche"):
        retire_niche(engine, tmp_path, "news")
    assert in_file(tmp_path) == ("news",)


def test_an_edit_keeps_the_name_and_the_dates(engine: Engine, tmp_path: Path) -> None:
    added = add_niche(engine, tmp_path, COOKING)
    edited = edit_niche(engine, replace(added, searches=("bake",), region=None, added_at=None))
    assert edited == replace(added, searches=("bake",), region=None, version=2)
    with pytest.raises(UnknownNicheError, match=r"there is no niche .baking.; the niches are tech, .*, cooking"):
        edit_niche(engine, replace(added, name="baking"))


def test_an_edit_of_what_somebody_else_has_changed_fails_with_the_present_state(engine: Engine, tmp_path: Path) -> None:
    read = add_niche(engine, tmp_path, COOKING)
    first = edit_niche(engine, replace(read, searches=("bake",)))
    with pytest.raises(
        NicheConflictError, match=r"somebody else has changed cooking .*the niche now has .*searches: bake"
    ):
        edit_niche(engine, replace(read, exclude=("prank",)))
    with engine.connect() as connection:
        assert niche_named(connection, "cooking") == first
    assert edit_niche(engine, replace(first, exclude=("prank",))).searches == ("bake",)


def test_the_file_says_when_a_niche_was_restored(engine: Engine, tmp_path: Path) -> None:
    add_niche(engine, tmp_path, COOKING)
    assert NicheFile(tmp_path).restored == {}
    retire_niche(engine, tmp_path, "cooking")
    restore_niche(engine, tmp_path, "cooking")
    restored = NicheFile(tmp_path).restored
    assert list(restored) == ["cooking"]
    assert abs(datetime.now(UTC) - restored["cooking"]) < timedelta(minutes=5)
    (tmp_path / NICHE_FILE).write_text('{"niches": ["tech"], "restored": {"tech": 7}}')
    assert (NicheFile(tmp_path).names, NicheFile(tmp_path).restored) == (("tech",), {})


@pytest.mark.parametrize("name", ["com1", "lpt9", "com0"])
def test_a_name_that_windows_gives_to_a_device_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot be the name of a niche"):
        checked(replace(COOKING, name=name))


def test_a_lab_has_no_more_niches_than_its_limit(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        rows = [{"name": f"n{number}"} for number in range(LARGEST_NICHES - len(DEFAULT_NAMES))]
        connection.execute(text("INSERT INTO niches (name) VALUES (:name)"), rows)
    with pytest.raises(NicheConflictError, match="more are not allowed"):
        add_niche(engine, tmp_path, COOKING)


def test_a_change_is_stored_and_a_warning_names_the_file_if_the_file_cannot_be_written(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The lab first writes the file under this name. The name now belongs to a folder, so the lab cannot write the file.
    (tmp_path / f".{NICHE_FILE}.new").mkdir()
    assert add_niche(engine, tmp_path, COOKING).name == "cooking"
    assert "cooking" in niche_names(engine)
    assert f"{tmp_path / NICHE_FILE} cannot be written" in caplog.text


def test_the_file_can_be_read_by_a_service_that_another_user_runs(engine: Engine, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        add_niche(engine, tmp_path, COOKING)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / NICHE_FILE).stat().st_mode) == 0o644


def test_the_file_is_equal_to_the_table_after_changes_at_the_same_time(engine: Engine, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda n: add_niche(engine, tmp_path, replace(COOKING, name=f"n{n}")), range(12)))
    assert in_file(tmp_path) == niche_names(engine)
    assert set(niche_names(engine)) == {*DEFAULT_NAMES, *(f"n{number}" for number in range(12))}


def test_a_file_of_another_state_is_written_again(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / NICHE_FILE).write_text('{"niches": ["tech"]}')
    write_niche_file(engine, tmp_path)
    assert in_file(tmp_path) == DEFAULT_NAMES
    before = (tmp_path / NICHE_FILE).stat().st_ino
    write_niche_file(engine, tmp_path)
    assert (tmp_path / NICHE_FILE).stat().st_ino == before


def test_a_reader_of_the_file_sees_a_new_niche_within_a_second(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thumblab_core.niches.niche_file._LOOK_AGAIN_S", 0.0)
    reader = NicheFile(tmp_path)
    assert reader.names == DEFAULT_NAMES
    with pytest.raises(UnknownNicheError):
        reader.require("cooking")
    add_niche(engine, tmp_path, COOKING)
    reader.require("cooking")
    retire_niche(engine, tmp_path, "cooking")
    assert reader.names == DEFAULT_NAMES


@pytest.mark.parametrize(
    "damaged", ["", "{", "[]", '{"niches": []}', '{"niches": ["../x"]}', '{"niches": [1]}', '{"niches": ["a", "a"]}']
)
def test_a_damaged_file_changes_nothing_for_its_readers(
    tmp_path: Path, damaged: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("thumblab_core.niches.niche_file._LOOK_AGAIN_S", 0.0)
    path = tmp_path / NICHE_FILE
    path.write_text('{"niches": ["tech", "cooking"]}')
    reader = NicheFile(tmp_path)
    assert reader.names == ("tech", "cooking")
    path.write_text(damaged)
    assert reader.names == ("tech", "cooking")
    assert f"{path} cannot be read" in caplog.text


def test_an_excluded_word_is_found_as_a_whole_word_in_any_case() -> None:
    niche = Niche("cooking", 26, exclude=("asmr", "c++"))
    assert niche.excludes("ASMR: bread") and niche.excludes("Learn C++ now")
    assert not niche.excludes("Plasmrow") and not niche.excludes("Bread")


def test_an_excluded_word_is_found_in_any_unicode_form() -> None:
    niche = Niche("cooking", 26, exclude=("café", "istanbul"))
    assert (
        niche.excludes("A cafe\u0301 in Rome") and niche.excludes("İSTANBUL food") and niche.excludes("I\u0307stanbul")
    )
