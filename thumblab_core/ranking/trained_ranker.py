"""A ranking model as it is released: the network, the histories of channels, and what turns scores into answers.

Files of a release: `model.safetensors`, `adapters.safetensors`, `config.json` (the architecture and how it was trained),
`calibration.json`, `familiar.safetensors` (see `thumblab_core.ranking.familiarity`) and `evaluation.json` (see
`thumblab_core.ranking.skill`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.ranker import Predictions, Ranker, RankerConfig, join
from thumblab_core.ranking.skill import Skill, read_skills
from thumblab_core.releases.release import Release

ENGAGEMENT, CTR = "engagement", "click_through_rate"
"""What the absolute head may have learnt: the expected percentile among the channel's own videos, or the owner's true
click-through rate."""

LEAST_PLACED = 20
"""Of fewer videos of a niche there are no percentiles to place a score in."""

_LEAST_SPREAD = {ENGAGEMENT: 0.01, CTR: 0.001}
"""What an answer shows as the same number."""


@dataclass(frozen=True)
class Informed:
    """Whether the absolute head says anything: the rank correlation of what it expected of `videos` held-out videos with
    what they got, the lower end of its 95 % interval, and how far its 5th and 95th percentile are apart."""

    correlation: float
    low: float
    videos: int
    spread: float


@dataclass(frozen=True)
class Calibration:
    """What turns scores into answers.

    `slope`: the score difference that makes the log odds of winning one is 1/slope, for a channel that the model does not
    know; `slope_adapted`: for one whose history it has. `quantiles`: per niche of at least 20 videos, the 101 percentiles of
    their scores without a history; with one a score stands among the channel's own, see `Adapter`. `too_close`: the shares
    of held-out pairs, without and with a history, that were too close to call.
    """

    slope: float
    quantiles: dict[str, list[float]]
    slope_adapted: float
    too_close: tuple[float | None, float | None] = (None, None)

    def percentile(self, score: float, niche: str) -> float | None:
        """Where a score without a history stands in the niche, 0 to 100; None where the model learnt too little of it."""
        quantiles = self.quantiles.get(niche)
        if quantiles is None or quantiles[0] == quantiles[-1]:  # before there was a least number, one video was a niche
            return None
        return float(np.interp(score, quantiles, np.arange(101.0)))

    def slope_of(self, adapted: bool) -> float:
        return self.slope_adapted if adapted else self.slope

    def win_probabilities(self, scores: npt.ArrayLike, adapted: bool = False) -> npt.NDArray[np.float64]:
        """[n] scores to [n] probabilities of being the best of the n (Bradley-Terry-Luce)."""
        logits = self.slope_of(adapted) * np.asarray(scores, np.float64)
        odds = np.exp(logits - logits.max())
        chances: npt.NDArray[np.float64] = odds / odds.sum()
        return chances


@dataclass(frozen=True)
class TrainedRanker:
    """A model, the histories it knows, what turns its scores into answers, and how it was trained.

    `familiar`: which pictures it can judge; None where it was trained on too few, or before that was kept. `skills`: what
    its ranking was measured to be worth, by question.
    """

    model: Ranker
    calibration: Calibration
    training: dict[str, Any]
    adapters: Adapters = field(default_factory=Adapters)
    familiar: Familiarity | None = None
    skills: Mapping[str, Skill] = field(default_factory=dict)

    def predict(
        self, images: Vectors, titles: Vectors, texts: Sequence[str], adapter: Adapter | None = None
    ) -> Predictions:
        """Image vectors [n, d_i], title vectors [n, d_t] and titles [n] to predictions, adapted to a channel's history."""
        return self.predict_inputs(join(images, titles, texts, self.model.config.title_facts), adapter)

    def predict_inputs(self, inputs: npt.NDArray[np.float32], adapter: Adapter | None = None) -> Predictions:
        """The same of inputs [n, d], see `thumblab_core.ranking.ranker.join`."""
        predictions = self.model.predict(inputs)
        if adapter is None:
            return predictions
        score = adapter.adjust(self.model.standardise(inputs), predictions.score)
        return Predictions(score, predictions.engagement, predictions.sub_scores)

    @property
    def absolute(self) -> str:
        """What the predicted engagement is."""
        return str(self.training.get("absolute", ENGAGEMENT))

    @property
    def informed(self) -> Informed | None:
        """What the predicted engagement was measured to be worth; None where it was not measured."""
        said = self.training.get("informed")
        return None if said is None else Informed(**said)

    @property
    def uninformed(self) -> str | None:
        """Why the predicted engagement is worth nothing, in the middle of a sentence; None where it is worth something."""
        found = self.informed
        if found is None:
            return "its accuracy on held-out videos was not measured"
        if found.spread < _LEAST_SPREAD[self.absolute]:
            return "it is the same for every thumbnail"
        if found.low <= 0:
            return f"on {found.videos} held-out videos it did not correlate with their views"
        return None

    def adapter(self, channel: str) -> Adapter | None:
        """The history of a channel that was there at training; None where there is none."""
        return self.adapters.of(channel, self.model.config.inputs)

    def save(self, folder: Path) -> None:
        """Write the files of a release into an empty folder."""
        from safetensors.torch import save_file

        save_file(dict(self.model.state_dict()), folder / "model.safetensors")
        config = {"architecture": asdict(self.model.config), "training": self.training}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
        (folder / "calibration.json").write_text(json.dumps(asdict(self.calibration)))
        self.adapters.save(folder)
        if self.familiar is not None:
            self.familiar.save(folder)

    @classmethod
    def load(cls, release: Release) -> Self:
        """Load and verify a release. Raises `LabError` when it is damaged or of another architecture."""
        release.verify()
        return cls.load_files(release.path)

    @classmethod
    def load_files(cls, folder: Path) -> Self:
        """Load the files that `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text())
        said = json.loads((folder / "calibration.json").read_text())
        try:
            # Models made before the title facts had versions were trained with the first.
            model = Ranker(RankerConfig(**{"title_facts": 1, **config["architecture"]}))
            calibration = Calibration(**{**said, "too_close": tuple(said.get("too_close", (None, None)))})
        except TypeError:
            raise LabError(f"{folder.name} was made by another version of the lab; train again") from None
        try:
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (RuntimeError, SafetensorError) as error:
            raise LabError(f"{folder.name}: the weights are not of this architecture ({str(error)[:200]})") from None
        model.eval()
        familiar = Familiarity.load(folder, model.config.image_dimension)
        return cls(model, calibration, config["training"], Adapters.load(folder), familiar, read_skills(folder))
