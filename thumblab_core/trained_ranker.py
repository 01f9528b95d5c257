"""A ranking model as it is released: the network, the histories of channels, and what turns scores into answers.

Files of a release: `model.safetensors`, `adapters.safetensors`, `config.json` (the architecture and how it was trained) and
`calibration.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.adapters import Adapter, Adapters
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.ranker import Predictions, Ranker, RankerConfig, join
from thumblab_core.releases import Release

ENGAGEMENT, CTR = "engagement", "click_through_rate"
"""What the absolute head may have learnt: the expected percentile among the channel's own videos, or the owner's true
click-through rate."""


@dataclass(frozen=True)
class Calibration:
    """What turns scores into answers.

    `slope`: the score difference that makes the log odds of winning one is 1/slope, for a channel that the model does not
    know; `slope_adapted`: for one whose history it has. `quantiles`: per niche, the 101 percentiles of the score over the
    niche's library. `too_close`: the shares of held-out pairs, without and with a history, that were too close to call.
    """

    slope: float
    quantiles: dict[str, list[float]]
    slope_adapted: float
    too_close: tuple[float | None, float | None] = (None, None)

    def percentile(self, score: float, niche: str) -> float | None:
        """Where a score stands in the niche's library, 0 to 100; None for a niche that was not there at training."""
        if niche not in self.quantiles:
            return None
        return float(np.interp(score, self.quantiles[niche], np.arange(101.0)))

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
    """A model, the histories it knows, what turns its scores into answers, and how it was trained."""

    model: Ranker
    calibration: Calibration
    training: dict[str, Any]
    adapters: Adapters = field(default_factory=Adapters)

    def predict(
        self, images: Vectors, titles: Vectors, texts: Sequence[str], adapter: Adapter | None = None
    ) -> Predictions:
        """Image vectors [n, d_i], title vectors [n, d_t] and titles [n] to predictions, adapted to a channel's history."""
        return self.predict_inputs(join(images, titles, texts), adapter)

    def predict_inputs(self, inputs: npt.NDArray[np.float32], adapter: Adapter | None = None) -> Predictions:
        """The same of inputs [n, d], see `thumblab_core.ranker.join`."""
        predictions = self.model.predict(inputs)
        if adapter is None:
            return predictions
        score = adapter.adjust(self.model.standardise(inputs), predictions.score)
        return Predictions(score, predictions.engagement, predictions.sub_scores)

    @property
    def absolute(self) -> str:
        """What the predicted engagement is."""
        return str(self.training.get("absolute", ENGAGEMENT))

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
            model = Ranker(RankerConfig(**config["architecture"]))
            calibration = Calibration(**{**said, "too_close": tuple(said.get("too_close", (None, None)))})
        except TypeError:
            raise LabError(f"{folder.name} was made by another version of the lab; train again") from None
        try:
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (RuntimeError, SafetensorError) as error:
            raise LabError(f"{folder.name}: the weights are not of this architecture ({str(error)[:200]})") from None
        model.eval()
        return cls(model, calibration, config["training"], Adapters.load(folder))
