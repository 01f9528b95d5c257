"""Tests of retired niches, whose videos are no longer collected.

If the data of a retired niche are kept, YouTube's rules still apply to them. If a person lets the lab forget the niche,
the data are deleted everywhere.
"""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from full_lab import NICHE, FullLab, assert_deleted_everywhere
from sqlalchemy import delete, func, insert, select

from thumblab_core.database.tables import metadata, niches, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.niches import DEFAULT_NAMES, NicheFile
from thumblab_core.niches.counts import videos_by_niche
from thumblab_core.niches.store import all_niches, restore_niche, retire_niche
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.retention import forget_niche as forgetting
from thumblab_pipelines.retention.forget_niche import forget_niche
from thumblab_pipelines.retention.lab_clean_up import clean_lab
from thumblab_pipelines.retention.retired import retain_retired, retain_retired_niches, retired_niches

LEFT = DEFAULT_NAMES[1:]


@pytest.fixture
def retired(full: FullLab) -> FullLab:
    assert retire_niche(full.lab.engine, full.lab.settings.data_dir, NICHE)
    return full


def test_a_niche_that_is_not_retired_is_not_forgotten(full: FullLab) -> None:
    with pytest.raises(LabError, match="tech is not retired"):
        forget_niche(full.lab, NICHE)
    assert set(full.rows(full.ids[0]))


def test_a_forgotten_niche_leaves_no_video_no_picture_and_no_release(retired: FullLab) -> None:
    picture = retired.picture(retired.ids[0])
    retired.age_files()
    forgotten = forget_niche(retired.lab, NICHE)
    assert forgotten.videos == len(retired.ids)
    assert forgotten.images > 0
    assert_deleted_everywhere(retired, retired.ids[0], picture)
    assert retired.lab.releases.all(INDEX, NICHE) == []
    assert retired.lab.releases.serving.current(INDEX, NICHE) is None
    with retired.lab.engine.connect() as connection:
        assert [niche.name for niche in all_niches(connection, retired=True)] == list(LEFT)
        of_niches = [table for table in metadata.sorted_tables if "niche" in table.c]
        rows = {t.name: connection.scalar(select(func.count()).where(t.c.niche == NICHE)) for t in of_niches}
    assert len(rows) > 5
    assert set(rows.values()) == {0}, rows


def test_a_kept_niche_has_all_its_videos_and_its_release_when_it_is_restored(retired: FullLab) -> None:
    served = retired.lab.releases.serving.current_id(INDEX, NICHE)
    assert restore_niche(retired.lab.engine, retired.lab.settings.data_dir, NICHE)
    with retired.lab.engine.connect() as connection:
        assert videos_by_niche(connection)[NICHE] == len(retired.ids)
    assert retired.lab.releases.serving.current_id(INDEX, NICHE) == served is not None


def test_the_videos_of_a_retired_niche_are_deleted_when_they_are_gone_from_youtube(retired: FullLab) -> None:
    assert retired_niches(retired.lab) == [NICHE]
    victim, picture = retired.ids[0], retired.picture(retired.ids[0])
    retired.emulator.remove(victim)
    retired.emulator.advance(timedelta(days=26))
    retired.age_files()
    assert retain_retired_niches(retired.lab).texts == {NICHE: "39 videos, 39 refreshed, 1 deleted"}
    clean_lab(retired.lab)
    assert_deleted_everywhere(retired, victim, picture)


def test_an_index_and_a_map_that_a_slow_run_publishes_after_its_niche_was_forgotten_are_deleted(
    retired: FullLab, tmp_path: Path
) -> None:
    releases, folder = retired.lab.releases, retired.lab.settings.data_dir / "releases"
    shutil.copytree(folder, tmp_path / "published")
    forget_niche(retired.lab, NICHE)
    assert retired_niches(retired.lab) == []
    for kind in (INDEX, LIBRARY_MAP):
        shutil.copytree(tmp_path / "published" / kind / NICHE, folder / kind / NICHE, dirs_exist_ok=True)
        assert releases.serving.current(kind, NICHE) is not None
    assert retired_niches(retired.lab) == [NICHE]
    assert retain_retired_niches(retired.lab).failures == {}
    assert (releases.all(INDEX, NICHE), releases.all(LIBRARY_MAP, NICHE)) == ([], [])
    assert (releases.serving.current_id(INDEX, NICHE), retired_niches(retired.lab)) == (None, [])


def number_of_videos(full: FullLab) -> int:
    with full.lab.engine.connect() as connection:
        return videos_by_niche(connection).get(NICHE, 0)


def is_active(full: FullLab) -> bool | None:
    """Return whether the niche is active, or None if the niche has no row in the table `niches`."""
    with full.lab.engine.connect() as connection:
        return next((one.retired_at is None for one in all_niches(connection, retired=True) if one.name == NICHE), None)


class SlowRun:
    """A progress listener that acts like a run which began before the niche was retired.

    Each time that all videos of the niche have been deleted, the listener saves one of them again, at most `times`
    times.
    """

    def __init__(self, full: FullLab, times: int) -> None:
        self._full, self._left = full, times
        with full.lab.engine.connect() as connection:
            self._row: dict[str, Any] = dict(connection.execute(select(videos)).mappings().first() or {})

    def __call__(self, what: str, done: int, total: int) -> None:
        if what == f"{NICHE}: deleting videos" and done == total and self._left:
            self._left -= 1
            with self._full.lab.engine.begin() as connection:
                connection.execute(insert(videos).values(**self._row))


def test_a_video_that_a_slow_run_saves_after_the_deletion_is_deleted_too(retired: FullLab) -> None:
    assert forget_niche(retired.lab, NICHE, SlowRun(retired, 1)).videos == len(retired.ids) + 1
    assert (number_of_videos(retired), is_active(retired)) == (0, None)


def test_an_index_that_a_slow_run_publishes_after_the_deletion_is_deleted_too(
    retired: FullLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = retired.lab.releases
    release = releases.all(INDEX, NICHE)[-1]
    index, info, published = NicheIndex.load(release), release.info | {"inputs": "slow"}, []

    def publish(*_: Any) -> None:
        if not published:
            published.append(releases.publish(INDEX, NICHE, index.save, info, None))

    monkeypatch.setattr(forgetting, "clean_adapters", publish)
    forget_niche(retired.lab, NICHE)
    assert (len(published), releases.all(INDEX, NICHE), is_active(retired)) == (1, [], None)


def test_a_niche_whose_videos_come_back_again_and_again_stays_retired_until_the_command_runs_again(
    retired: FullLab,
) -> None:
    with pytest.raises(LabError, match="have ended, and then run `thumblab niche retire tech --forget` again"):
        forget_niche(retired.lab, NICHE, SlowRun(retired, 100))
    assert (number_of_videos(retired), is_active(retired)) == (1, False)
    forget_niche(retired.lab, NICHE)
    assert (number_of_videos(retired), is_active(retired)) == (0, None)


def test_a_niche_that_is_restored_while_it_is_forgotten_keeps_its_row_and_the_videos_that_are_left(
    retired: FullLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "_BATCH", 5)
    folder = retired.lab.settings.data_dir

    def restore(what: str, done: int, total: int) -> None:
        if done == 5:
            assert restore_niche(retired.lab.engine, folder, NICHE)

    with pytest.raises(LabError, match="tech is not retired"):
        forget_niche(retired.lab, NICHE, restore)
    assert (number_of_videos(retired), is_active(retired)) == (len(retired.ids) - 5, True)
    assert NICHE in NicheFile(folder).names


def test_a_niche_that_is_restored_after_its_videos_were_deleted_keeps_its_row(
    retired: FullLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(*_: Any) -> None:
        assert restore_niche(retired.lab.engine, retired.lab.settings.data_dir, NICHE)

    monkeypatch.setattr(forgetting, "clean_adapters", restore)
    with pytest.raises(LabError, match="tech is not retired"):
        forget_niche(retired.lab, NICHE)
    assert is_active(retired)


def test_the_videos_of_a_niche_without_a_row_are_refreshed_and_deleted_without_a_confirmation(
    retired: FullLab,
) -> None:
    with retired.lab.engine.begin() as connection:
        connection.execute(delete(niches).where(niches.c.name == NICHE))
    careful = retired.with_settings(forget_share=0.01)
    assert retired_niches(careful) == [NICHE]
    for video_id in retired.ids[:-1]:
        retired.emulator.remove(video_id)
    retired.emulator.advance(timedelta(days=26))
    retain_retired(careful, NICHE)
    assert number_of_videos(retired) == 1


def test_a_retention_that_the_quota_ends_early_says_so(retired: FullLab) -> None:
    retired.emulator.advance(timedelta(days=26))
    retired.emulator.quota.limits["units"] = 0
    assert "08:00 UTC" in retain_retired(retired.lab, NICHE)
