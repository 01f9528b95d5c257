"""A helper that fills a lab with the two sources of one-video pairs: changed thumbnails and experiments.

The videos come from the synthetic catalogue, in which the quality of each picture is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

from given_experiments import given_planted

from demo.catalogues.effects import PlantedEffects
from demo.catalogues.experiments import PlantedExperiment, planted_experiments
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.experiments import rules
from thumblab_core.niches import DEFAULT_NAMES
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
    """A lab, the catalogue from which its videos come, and the experiments that it stores.

    `numbers` has the number that the lab gave to each of `experiments`. `experiments[i]` started i days after
    `FIRST_DAY`.
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
    """Open a lab, fill it, and return it.

    The lab collects a synthetic catalogue with `videos` videos once a week, for `weeks` weeks. With the default
    `effects`, half of the videos change their thumbnail once, in the first two weeks. Then `experiments` experiments
    with videos of the largest channel are added. At the end, all pictures and titles are encoded. The pictures of the
    experiments are written to `folder`.
    """
    catalogue = synthetic_catalogue(videos, 3, effects)
    with Emulator(catalogue, key="k") as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="k")
        for _ in range(weeks):
            for niche in DEFAULT_NAMES:
                collect(lab, niche)
                download_thumbnails(lab, niche)
                observe(lab, niche)
            emulator.advance(timedelta(days=7))
    channel = max(catalogue.channels.values(), key=lambda one: len(one.videos)).channel_id
    planted = planted_experiments(catalogue, channel, experiments, seed=1)
    numbers = [store(lab, folder, channel, FIRST_DAY + timedelta(days=day), one) for day, one in enumerate(planted)]
    for niche in DEFAULT_NAMES:
        embed(lab, niche)
    return PlantedLab(lab, catalogue, planted, numbers)


def store(lab: Lab, folder: Path, channel: str, day: date, planted: PlantedExperiment) -> int:
    """Store the experiment `planted` in the lab, as if it had started on `day`. Return the number that the lab gives to
    the experiment.
    """
    given = given_planted(planted, channel, day, folder / str(day))
    # A lab refuses experiments that start in the future. The dates of these experiments are fixed, and a test may run
    # before these dates. With this patch, the lab accepts any date.
    with patch.object(rules, "last_day", return_value=date.max):
        return ExperimentWriter(lab).add(given).experiment_id
