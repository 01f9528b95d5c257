"""A ranking model as a release stores it: the network, the channel adapters, and the calibration of its scores.

A release has these files:

    model.safetensors       weights of the network
    config.json             architecture of the network, and facts of its training
    adapters.safetensors    channel adapters, see the module `adapters`
    calibration.json        see `Calibration`
    familiar.safetensors    see the module `familiarity`
    evaluation.json         see the module `skill`
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.ranking.architecture import Predictions, RankerConfig
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.ranking.percentiles import percentile_of
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE, Skill, read_package_skills, read_skills
from thumblab_core.releases.release import Release

ENGAGEMENT, CTR = "engagement", "click_through_rate"
"""Names of the two values that the absolute head of a network may predict. A model is trained on one of them.

`ENGAGEMENT` is the percentile of a video's views among its channel's videos. `CTR` is the true click-through rate.
"""

FittedTo = Literal["videos", "experiments", "residuals", "packages"]
VIDEOS: FittedTo = "videos"
EXPERIMENTS: FittedTo = "experiments"
RESIDUALS: FittedTo = "residuals"
PACKAGES: FittedTo = "packages"
"""Names of the data to which the slope of win probabilities was fitted.

`VIDEOS`: the views of pairs of videos, without the part that their titles and contexts explain. `EXPERIMENTS`: results
of experiments, in which one video showed two pictures. `PACKAGES`: the views of pairs of videos. The slope for packages
of a title and a picture is always fitted to `PACKAGES`. With too few pairs, the slope for pictures is fitted to
`PACKAGES` too. `RESIDUALS`: the views of pairs of videos, without the part that their contexts explain. In models of
older versions of the lab, the slope for pictures was fitted to `PACKAGES` or to `RESIDUALS`.
"""

_LEAST_SPREAD = {ENGAGEMENT: 0.01, CTR: 0.001}
"""Minimum spread of the predictions, see `EngagementAccuracy`.

With a smaller spread, an answer would show the same number for every thumbnail.
"""


@dataclass(frozen=True)
class EngagementAccuracy:
    """The accuracy of the absolute head, which predicts engagement or CTR. The accuracy was measured on `videos`
    held-out videos.

    `correlation`: rank correlation of its predictions with the true values. `low`: the lower end of the correlation's
    95 % interval. `spread`: the 95th percentile of the predictions minus their 5th percentile.
    """

    correlation: float
    low: float
    videos: int
    spread: float


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model. It converts scores to win probabilities and percentiles.

    `slope`: log odds that one of two videos wins, per unit of the difference of their scores, without an adapter.
    `slope_adapted`: the same slope with an adapter. `one_title`: both slopes for two pictures under one title. None in
    older releases. `one_title_from`: what each slope of `one_title` was fitted to, a `FittedTo`. None in older
    releases. `quantiles`: for each niche of at least 20 videos, the 101 percentiles of the videos' scores without an
    adapter. Scores with an adapter are compared with the scores of the channel's own videos instead, see `Adapter`.
    `too_close`: the shares of held-out pairs that were too close to call, without and with an adapter.
    """

    slope: float
    quantiles: dict[str, list[float]]
    slope_adapted: float
    too_close: tuple[float | None, float | None] = (None, None)
    one_title: tuple[float, float] | None = None
    one_title_from: tuple[FittedTo, FittedTo] | None = None

    def percentile(self, score: float, niche: str) -> float | None:
        """Return the percentile of an unadapted score in the niche, 0 to 100.

        Return None if the model was trained on too few videos of the niche.
        """
        quantiles = self.quantiles.get(niche)
        # Older releases also have quantiles for a niche with a single video. These quantiles are all equal.
        if quantiles is None or quantiles[0] == quantiles[-1]:
            return None
        return percentile_of(score, quantiles)

    def slope_of(self, adapted: bool, question: str = ONE_TITLE) -> float:
        """Return the slope that turns a difference of two scores into a win probability, for a question.

        `adapted`: whether an adapter has changed the scores.

        The slope for `PACKAGE` is the slope for whole videos. The slope for every other question is the slope for
        pictures under one title. Older releases have no slope for pictures under one title, so their slope for whole
        videos is returned.
        """
        whole_videos = (self.slope, self.slope_adapted)
        slope, slope_adapted = whole_videos if question == PACKAGE else self.one_title or whole_videos
        return slope_adapted if adapted else slope

    def fitted_to(self, adapted: bool, question: str = ONE_TITLE) -> FittedTo:
        """Return the name of the data to which the result of `slope_of` was fitted."""
        if question == PACKAGE or self.one_title is None:
            return PACKAGES
        return (self.one_title_from or (RESIDUALS, RESIDUALS))[int(adapted)]

    def win_probabilities(
        self, scores: npt.ArrayLike, adapted: bool = False, question: str = ONE_TITLE
    ) -> npt.NDArray[np.float64]:
        """Return the win probability [n] of each of n candidates, from their scores [n].

        The formula is from the model of Bradley, Terry and Luce. `question` chooses the slope, see `slope_of`.
        """
        logits = self.slope_of(adapted, question) * np.asarray(scores, np.float64)
        odds = np.exp(logits - logits.max())
        probabilities: npt.NDArray[np.float64] = odds / odds.sum()
        return probabilities


@dataclass(frozen=True)
class TrainedRanker:
    """A network with its calibration, its channel adapters and the facts of its training.

    `familiar`: recognises pictures that resemble training pictures, because the model can score only such pictures.
    `familiar` is None if the model was trained on too few pictures, or by an older version of the lab. `skills`:
    accuracy of the model's ranking of pictures, by split. `package_skills`: accuracy of the model's ranking of packages
    of a title and a picture, by split.
    """

    model: Ranker
    calibration: Calibration
    training: dict[str, Any]
    adapters: Adapters = field(default_factory=Adapters)
    familiar: Familiarity | None = None
    skills: Mapping[str, Skill] = field(default_factory=dict)
    package_skills: Mapping[str, Skill] = field(default_factory=dict)

    def predict(
        self,
        images: Vectors,
        titles: Vectors,
        texts: Sequence[str],
        adapter: Adapter | None = None,
        in_pictures: Sequence[str | None] | None = None,
    ) -> Predictions:
        """Return predictions for n pictures with titles.

        `images` [n, d_i] and `titles` [n, d_t] are vectors, and `texts` are the n titles. `adapter`: the adapter of the
        channel, or None for scores without an adapter. `in_pictures` [n]: the words in each picture, see
        `model_inputs`.
        """
        return self.predict_inputs(self.inputs(images, titles, texts, in_pictures), adapter)

    def inputs(
        self, images: Vectors, titles: Vectors, texts: Sequence[str], in_pictures: Sequence[str | None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the inputs [n, d] of n pictures with their titles, in the input version of the model."""
        return model_inputs(images, titles, texts, self.model.config.version, in_pictures)

    def predict_inputs(self, inputs: npt.NDArray[np.float32], adapter: Adapter | None = None) -> Predictions:
        """Return predictions from inputs [n, d], see `thumblab_core.ranking.inputs.model_inputs`."""
        predictions = self.model.predict(inputs)
        if adapter is None:
            return predictions
        return replace(predictions, score=adapter.adjust(self.model.standardise(inputs), predictions.score))

    @property
    def absolute(self) -> str:
        """What the absolute head of this model predicts: `ENGAGEMENT` or `CTR`."""
        return str(self.training.get("absolute", ENGAGEMENT))

    @property
    def engagement_accuracy(self) -> EngagementAccuracy | None:
        """The accuracy of the predicted engagement, or None if it was not measured."""
        figures = self.training.get("informed")
        return None if figures is None else EngagementAccuracy(**figures)

    @property
    def why_no_engagement(self) -> str | None:
        """A clause that says why the predicted engagement is not shown. None if it can be shown."""
        informed = self.engagement_accuracy
        if informed is None:
            return "its accuracy on held-out videos was not measured"
        if informed.spread < _LEAST_SPREAD[self.absolute]:
            return "it is the same for every thumbnail"
        if informed.low <= 0:
            return f"on {informed.videos} held-out videos it did not correlate with their views"
        return None

    def adapter(self, channel: str) -> Adapter | None:
        """Return the adapter that the training fitted to `channel`, or None if it fitted no adapter to it."""
        return self.adapters.of(channel, self.model.config.inputs)

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder, as the files of a release."""
        from safetensors.numpy import save_file

        save_file(self.model.weights, folder / "model.safetensors")
        config = {"architecture": asdict(self.model.config), "training": self.training}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
        (folder / "calibration.json").write_text(json.dumps(asdict(self.calibration)))
        self.adapters.save(folder)
        if self.familiar is not None:
            self.familiar.save(folder)

    @classmethod
    def load(cls, release: Release) -> Self:
        """Verify and load a release. Raises `LabError` if the release is damaged or if this version of the lab cannot
        read it.
        """
        release.verify()
        return cls.load_files(release.path)

    @classmethod
    def load_files(cls, folder: Path) -> Self:
        """Load the files that `save` wrote, without verifying them."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        config = json.loads((folder / "config.json").read_text())
        stored = json.loads((folder / "calibration.json").read_text())
        try:
            architecture = _architecture(config["architecture"])
            calibration = Calibration(**{**stored, **_tuples(stored)})
        except TypeError:
            raise LabError(f"{folder.name} was made by another version of the lab; train again") from None
        try:
            model = Ranker(architecture, load_file(folder / "model.safetensors"))
        except LabError as error:
            raise LabError(f"{folder.name}: {error}; train again") from None
        except SafetensorError as error:
            raise LabError(f"{folder.name}: the weights do not fit the architecture ({str(error)[:200]})") from None
        familiar = Familiarity.load(folder, model.config.image_dimension)
        skills = {"skills": read_skills(folder), "package_skills": read_package_skills(folder)}
        return cls(model, calibration, config["training"], Adapters.load(folder), familiar, **skills)


def _architecture(stored: Mapping[str, Any]) -> RankerConfig:
    """Return the architecture of a stored model. `stored` is the entry `architecture` of its `config.json`.

    Older models store the version of their inputs under the name `title_facts`. The oldest models store no version.
    They were trained with version 1.
    """
    fields = dict(stored)
    older = fields.pop("title_facts", 1)
    return RankerConfig(**{"version": older, **fields})


def _tuples(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a stored calibration that must be tuples. JSON stores them as lists."""
    one_title, fitted_to = calibration.get("one_title"), calibration.get("one_title_from")
    return {
        "too_close": tuple(calibration.get("too_close", (None, None))),
        "one_title": None if one_title is None else tuple(one_title),
        "one_title_from": None if fitted_to is None else tuple(fitted_to),
    }
