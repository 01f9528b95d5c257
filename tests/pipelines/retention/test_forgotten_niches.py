"""Tests of retired niches: kept data still follow YouTube's rules, and forgotten data are deleted everywhere."""

from datetime import timedelta

import pytest
from full_lab import NICHE, FullLab, assert_deleted_everywhere

from thumblab_core.errors import LabError
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.niches.store import all_niches, restore_niche, retire_niche
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.niches.counts import videos_by_niche
from thumblab_pipelines.retention.forget_niche import forget_niche
from thumblab_pipelines.retention.retired import retain_retired, retired_with_videos

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


def test_a_kept_niche_has_all_its_videos_and_its_release_when_it_is_restored(retired: FullLab) -> None:
    served = retired.lab.releases.serving.current_id(INDEX, NICHE)
    assert restore_niche(retired.lab.engine, retired.lab.settings.data_dir, NICHE)
    with retired.lab.engine.connect() as connection:
        assert videos_by_niche(connection)[NICHE] == len(retired.ids)
    assert retired.lab.releases.serving.current_id(INDEX, NICHE) == served is not None


def test_the_first_niche_of_the_lab_looks_after_the_videos_of_retired_niches(retired: FullLab) -> None:
    assert {niche: retired_with_videos(retired.lab, niche) for niche in LEFT} == {
        niche: [NICHE] if niche == LEFT[0] else [] for niche in LEFT
    }
    victim, picture = retired.ids[0], retired.picture(retired.ids[0])
    retired.emulator.remove(victim)
    retired.emulator.advance(timedelta(days=26))
    retired.age_files()
    retain_retired(retired.lab, NICHE)
    assert_deleted_everywhere(retired, victim, picture)
    with retired.lab.engine.connect() as connection:
        assert videos_by_niche(connection)[NICHE] == len(retired.ids) - 1
