"""Tests of the statistics of a niche report, on planted niches without a database."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.niche_reports.measure import coverage, false_findings
from benchmarks.niche_reports.planted_niche import PLANTED, PlantedNiche, plant, with_multiples
from thumblab_core.niche_report.niche_figures import Change
from thumblab_pipelines.niche_report.compared import Compared, discoveries, winners_of
from thumblab_pipelines.niche_report.findings import find


def names(niche: PlantedNiche) -> dict[str, float]:
    """Return, for each feature with a finding, the share of the comparisons in which the winner has more of it."""
    return {finding.feature: finding.share.value for finding in find(niche.videos, niche.values)[0]}


def with_views(niche: PlantedNiche, added: np.ndarray) -> PlantedNiche:
    """Return a copy of the niche in which `added` [n] is added to the log views of the n videos."""
    changed = niche.videos.assign(log_views=niche.videos.log_views + added)
    return PlantedNiche(with_multiples(changed), niche.values)


def test_planted_effects_are_found_with_their_sign() -> None:
    found = names(plant(channels=40, videos=100, seed=1))
    assert set(found) == set(PLANTED)
    assert {name: share > 0.5 for name, share in found.items()} == {name: size > 0 for name, size in PLANTED.items()}


def test_shuffled_views_give_no_finding() -> None:
    assert false_findings(5, channels=8, videos=80) == 0


@pytest.mark.heavy
def test_at_most_one_in_twenty_shuffles_has_a_false_finding() -> None:
    assert false_findings(100) <= 5


@pytest.mark.heavy
@pytest.mark.parametrize(("channels", "videos"), [(6, 150), (15, 100)])
def test_the_intervals_cover_planted_shares(channels: int, videos: int) -> None:
    covered = coverage(150, channels, videos)
    # Each interval should contain the true share in 95 % of the 150 drawn niches. This percentage, measured in 150
    # niches, has a standard error of 1.8 percentage points. The limit is 0.95 minus twice the standard error.
    assert min(covered.values()) >= 0.91


def test_a_difference_between_channels_alone_is_no_finding() -> None:
    """Check that a feature is no finding if it differs between channels, but has no effect within a channel.

    Channels whose pictures usually have more faces get more views. Within a channel, the faces have no effect.
    """
    niche = plant(channels=12, videos=80, seed=2, effects={})
    usual = niche.values.face_count.groupby(niche.videos.channel_id).transform("mean")
    assert "face_count" not in names(with_views(niche, 5 * usual.to_numpy()))


def test_an_effect_of_one_channel_is_no_finding() -> None:
    niche = plant(channels=12, videos=80, seed=3, effects={})
    one = (niche.videos.channel_id == "c0").to_numpy()
    assert "title_words" not in names(with_views(niche, 5 * one * niche.values.title_words.to_numpy()))


def test_an_effect_with_different_signs_in_different_channels_is_no_finding() -> None:
    niche = plant(channels=12, videos=80, seed=4, effects={})
    sign = niche.videos.channel_id.str[1:].astype(int).to_numpy() % 2 * 2 - 1
    assert "title_words" not in names(with_views(niche, 2 * sign * niche.values.title_words.to_numpy()))


def test_videos_are_compared_only_within_channel_age_band_and_year() -> None:
    niche = plant(channels=5, videos=60, seed=5)
    compared = Compared.of(niche.videos, winners_of(niche.videos))
    winner, other = compared.pairs()
    rows = niche.videos.iloc[compared.rows]
    for column in (rows.channel_id, rows.age_band, rows.published_at.dt.year):
        values = column.to_numpy()
        assert (values[winner] == values[other]).all()
    assert compared.winner[winner].all()
    assert not compared.winner[other].any()


def test_a_winner_is_in_the_top_tenth_and_a_winner_of_the_library() -> None:
    videos = pd.DataFrame({"outlier_multiple": np.linspace(0.1, 10, 100), "views_per_hour": np.repeat([5.0, 50.0], 50)})
    assert winners_of(videos).sum() == 10
    assert winners_of(videos.assign(views_per_hour=5.0)).sum() == 0
    assert winners_of(videos.assign(outlier_multiple=videos.outlier_multiple / 10)).sum() == 0


@pytest.mark.slow
def test_a_change_is_shown_only_where_one_was_planted() -> None:
    def change(recent: float) -> Change | None:
        niche = plant(12, 200, 6, {"text_area": -0.6}, {"text_area": recent})
        [area] = [finding for finding in find(niche.videos, niche.values)[0] if finding.feature == "text_area"]
        return area.change

    changed = change(1.2)
    assert changed is not None
    assert changed.recent.share.value > 0.5 > changed.before.share.value
    assert changed.difference.low > 0
    assert change(-0.6) is None


def test_the_correction_is_that_of_benjamini_and_yekutieli() -> None:
    p_values = [0.001, 0.02, 0.5]
    harmonic = 1 + 1 / 2 + 1 / 3
    expected = [0.001 * 3 * harmonic, 0.02 * 3 / 2 * harmonic, 0.5 * harmonic]
    assert discoveries(p_values) == pytest.approx([min(value, 1.0) for value in expected])
    assert len(discoveries([])) == 0
