"""A lab whose videos changed their thumbnails, and on whose videos experiments were made. The truth is planted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

from demo.catalogues.effects import PlantedEffects
from demo.catalogues.experiments import PlantedExperiment, planted_experiments
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.experiments import rules
from thumblab_core.experiments.records import GivenExperiment, GivenVariant
from thumblab_core.niches import NICHES
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.observe import observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab

WEEKS = 5
SWAPS = PlantedEffects(swaps=0.5)
FIRST_DAY = date(2026, 12, 1)


@dataclass(frozen=True)
class PlantedLab:
    """The lab, the catalogue that its videos come from, and the experiments that it stores.

    `numbers` has the number in the lab of each experiment. Experiment i started i days after `FIRST_DAY`.
    """

    lab: Lab
    catalogue: SyntheticCatalogue
    experiments: Sequence[PlantedExperiment]
    numbers: Sequence[int]


def planted_lab(
    open_lab: Callable[..., Lab],
    folder: Path,
    videos: int,
    experiments: int,
    effects: PlantedEffects = SWAPS,
    weeks: int = WEEKS,
) -> PlantedLab:
    """Collect a catalogue once a week. By default, half of its videos change their thumbnail once in five weeks.

    Then add experiments on the videos of the largest channel, and encode all pictures and titles.
    """
    catalogue = synthetic_catalogue(videos, 3, effects)
    with Emulator(catalogue, key="k") as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="k")
        for _ in range(weeks):
            for niche in NICHES:
                collect(lab, niche)
                download_thumbnails(lab, niche)
                observe(lab, niche)
            emulator.advance(timedelta(days=7))
    channel = max(catalogue.channels.values(), key=lambda one: len(one.videos)).channel_id
    planted = planted_experiments(catalogue, channel, experiments, seed=1)
    numbers = [store(lab, folder, channel, FIRST_DAY + timedelta(days=day), one) for day, one in enumerate(planted)]
    for niche in NICHES:
        embed(lab, niche)
    return PlantedLab(lab, catalogue, planted, numbers)


def store(lab: Lab, folder: Path, channel: str, day: date, planted: PlantedExperiment) -> int:
    """Store a planted experiment in the lab, and return its number."""
    variants = []
    for place, variant in enumerate(planted.variants):
        path = folder / f"{day}-{place}.jpg"
        path.write_bytes(variant.thumbnail.image)
        variants.append(GivenVariant(path, variant.thumbnail.title, variant.watch_time_share, variant.impressions))
    winner = None if planted.winner is None else planted.winner + 1
    given = GivenExperiment(channel, planted.video_id, day, planted.outcome, variants, winner=winner)
    # The days of the synthetic catalogue do not depend on the day of the test, so they may be in the future.
    with patch.object(rules, "last_day", return_value=date.max):
        return ExperimentWriter(lab).add(given).experiment_id
