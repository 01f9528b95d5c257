"""Evaluate an existing model on a catalogue, without and with adapters for the channels of the catalogue.

The catalogue is imported into a separate lab, so that its videos do not enter the lab of the model. The pictures and
titles of the catalogue are encoded with the encoders of the model's training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select

from thumblab_core.arrays import Flags, Float64s
from thumblab_core.database.tables import channels, videos
from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.neural import NeuralEncoder
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ALL, ENCODER, MODEL, Release
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.splits import place_in_channel
from thumblab_pipelines.dataset.video_fingerprints import was_trained_on
from thumblab_pipelines.evaluation.figures import ADAPTED, Evaluation, HeldOutPairs
from thumblab_pipelines.evaluation.figures import MODEL as SCORER
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.purge import alive_videos, clean_images, clean_pairs
from thumblab_pipelines.statistics.trend import publication_days
from thumblab_pipelines.training.adaptation import ScoredVideos, above_trend, adapted_scores, fit_adapters
from thumblab_pipelines.videos.deletion import delete_videos

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker

UNADAPTED = "unadapted"
"""The name of the split in which the model has no channel adapters."""

CHAMPION = "champion"
"""The name that stands for the served model."""

_COMPILED = re.compile(r".+@(\d{8}T\d{12}Z-[0-9a-f]{8})")
"""A pattern for names of image encoders that the lab has compiled with OpenVINO and published as a release.

The name of a compiled encoder ends with the id of its release.
"""


@dataclass(frozen=True)
class CatalogueEvaluation:
    """The figures of a model on a catalogue.

    Parameters
    ----------
    evaluations
        The figures of the split `UNADAPTED`. If the model was adapted to the channels, the figures of the split
        `ADAPTED` follow.
    pairs_release
        The pairs release that was made from the catalogue.
    trained_on
        The number of `videos` of the catalogue that the model was trained on, and the number of `pairs` that were left
        out because of these videos. None if the release of the model does not store its training videos.
    channels_adapted
        The number of channels for which an adapter was fitted.
    """

    evaluations: list[Evaluation]
    pairs_release: Release
    trained_on: dict[str, int] | None
    channels_adapted: int


def named_model(lab: Lab, name: str) -> Release:
    """Return the served model if the name is `champion`, and otherwise the model release with the id `name`.

    Raises `LabError` if there is no such model. If `name` is an id, the message lists the ids of all model releases.
    """
    if name == CHAMPION:
        served = lab.releases.serving.current(MODEL, ALL)
        if served is None:
            raise NoServedModelError(
                "no model is served yet; `thumblab refresh` trains a model on the videos of the lab and serves it",
                lab.settings.data_dir,
            )
        return served
    models = {release.release_id: release for release in lab.releases.all(MODEL, ALL)}
    if name not in models:
        existing = ", ".join(models) or "none: `thumblab train` makes one"
        raise LabError(f"there is no model release {name}; the lab has {existing}")
    return models[name]


def encoding_of(lab: Lab, model: Release) -> dict[str, Any]:
    """Return the settings that another lab needs to encode pictures as `lab` did when the model was trained.

    Raises `LabError` if the model does not store the name of its image encoder. Also raises `LabError` if an encoder
    that the model was trained with is no longer available.
    """
    name = model.info.get("image_encoder_name")
    if not name:
        raise LabError(f"{model} does not record how its pictures were encoded; train it again")
    image_fingerprint = named_image_encoder(name, release_place(lab.settings)).fingerprint
    if image_fingerprint != model.info["image_encoder"]:
        raise LabError(
            f"{model} was trained on pictures encoded by {model.info['image_encoder']}, but the encoder {name} is now "
            f"{image_fingerprint}; train the model again"
        )
    title_fingerprint = title_encoder(lab.settings.title_encoder).fingerprint
    if title_fingerprint != model.info["title_encoder"]:
        raise LabError(
            f"{model} was trained on titles encoded by {model.info['title_encoder']}, but THUMBLAB_TITLE_ENCODER is "
            f"{title_fingerprint}"
        )
    # The encoder's name may already end with a precision, such as `@bfloat16`, or with the release of a precision. With
    # the setting float32, the lab adds nothing to the name.
    return {"image_encoder": name, "encoder_precision": "float32"}


def mirror_catalogue(lab: Lab, folder: Path, progress: Progress = silent) -> Imported:
    """Import `videos.csv` of the folder. Then delete the videos of the lab that are no longer in `videos.csv`.

    The lab must contain only this catalogue. If the row of a video cannot be read, the video keeps the data of an
    earlier import. If a row has no readable id, no video is deleted. Raises `LabError` in the same cases as
    `import_catalogue`, and if the lab has videos from another source.
    """
    with lab.engine.connect() as connection:
        if connection.scalar(select(videos.c.video_id).where(videos.c.source != "catalogue").limit(1)) is not None:
            raise LabError(
                f"{lab.settings.data_dir} has videos from another source; evaluate a catalogue in a separate lab"
            )
    report = import_catalogue(lab, folder, progress)
    listed = report.video_ids | {problem.video_id for problem in report.problems}
    if "" not in listed:
        with lab.engine.begin() as connection:
            delete_videos(connection, sorted(alive_videos(connection) - listed))
        clean_pairs(lab, successors=False)
        clean_images(lab)
    return report


def evaluate_on_catalogue(
    home: Lab, model: Release, lab: Lab, share: float | None = None, progress: Progress = silent
) -> CatalogueEvaluation:
    """Evaluate a model of the lab `home` on the catalogue in `lab`. `lab` must have the settings from `encoding_of`.

    If `share` is None, the model is evaluated on all pairs, without adapters. If `share` is given, it is a fraction
    from 0 to 1, and each channel gets an adapter. The adapter is fitted to the oldest videos of the channel, which make
    up this fraction of the channel's videos. The model is evaluated on pairs of the remaining videos, without and with
    adapters.

    Pairs with a video that the model was trained on are left out. Raises `LabError` if no pair remains.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    trained = TrainedRanker.load(model)
    _copy_encoder(home, model, lab)
    with lab.engine.connect() as connection:
        niches = connection.scalars(select(videos.c.niche).distinct().order_by(videos.c.niche)).all()
    for niche in niches:
        embed(lab, niche, progress)
    pairs_release = build_pairs(lab).release
    data = load_dataset(lab, pairs_release)
    known = _first(data.videos, share or 0.0)
    pairs = _outside(data.pairs, known)
    trained_on = was_trained_on(model, data.videos.video_id.tolist())
    evaluated = pairs if trained_on is None else _outside(pairs, trained_on)
    if evaluated.empty:
        raise LabError(_no_pair_left(data, pairs, known))
    scored = _ScoredCatalogue(data, trained, evaluated)
    evaluations, channels_adapted = list(scored.unadapted()), 0
    if share is not None:
        adapted, channels_adapted = scored.adapted(known)
        evaluations += adapted
    counts = None if trained_on is None else {"videos": int(trained_on.sum()), "pairs": len(pairs) - len(evaluated)}
    return CatalogueEvaluation(evaluations, pairs_release, counts, channels_adapted)


def channel_names(lab: Lab) -> dict[str, str]:
    """Return the title of each channel of the lab by channel id, or "" for a channel without a title."""
    with lab.engine.connect() as connection:
        return {row.channel_id: row.title or "" for row in connection.execute(select(channels))}


class _ScoredCatalogue:
    """The scores that a model gives the videos of a catalogue, with methods that evaluate them on the given pairs."""

    def __init__(self, data: Dataset, trained: TrainedRanker, pairs: pd.DataFrame) -> None:
        from thumblab_pipelines.training.corpus import dataset_inputs

        self._data, self._trained, self._pairs = data, trained, pairs
        inputs = dataset_inputs(data, trained.model.config.version)
        self._inputs, self._scores = inputs, inputs.mapped(lambda block: trained.predict_inputs(block).score)

    def unadapted(self) -> Iterator[Evaluation]:
        """Yield the figures of the scores without channel adapters."""
        return self._figures(UNADAPTED, self._scores.astype(np.float64), self._trained.calibration.slope)

    def adapted(self, known: Flags) -> tuple[list[Evaluation], int]:
        """Fit channel adapters on the `known` videos [n].

        Return the figures of the adapted scores, and the number of adapters.
        """
        data, score_slope = self._data, float(self._trained.training.get("kept", 1.0))
        channel = data.videos.channel_id.to_numpy(str)
        above = above_trend(channel, publication_days(data.videos), data.videos.target, known)
        model = self._trained.model
        kernel = Kernel.of(model.config.layout)
        videos = ScoredVideos(self._inputs, self._scores, channel, model.standardise, kernel)
        adapters = fit_adapters(videos, above, np.flatnonzero(known), score_slope)
        scores = adapted_scores(videos, adapters)
        return list(self._figures(ADAPTED, scores, self._trained.calibration.slope_adapted)), len(adapters)

    def _figures(self, split: str, scores: Float64s, slope: float) -> Iterator[Evaluation]:
        held_out = HeldOutPairs(split, self._pairs)
        yield from held_out.aucs(SCORER, scores)
        yield from held_out.detailed_aucs(self._data.videos, SCORER, scores)
        yield from held_out.calibration(scores, slope)
        yield from held_out.correlations(self._data.videos, np.unique(self._pairs[["winner", "loser"]]), scores)


def _copy_encoder(home: Lab, model: Release, lab: Lab) -> None:
    """Copy the release of the model's image encoder from `home` to `lab`, if `home` has compiled this encoder."""
    name = str(model.info["image_encoder_name"])
    compiled = _COMPILED.fullmatch(name)
    encoder = named_image_encoder(name, release_place(home.settings))
    if compiled is not None and isinstance(encoder, NeuralEncoder):
        release = home.releases.get(ENCODER, encoder.base, compiled[1])
        lab.releases.restore(ENCODER, encoder.base, compiled[1], release.path)


def _first(videos: pd.DataFrame, share: float) -> Flags:
    """Return whether each video [n] belongs to the oldest `share` (0 to 1) of its channel's videos.

    `videos` must be in order of publication.
    """
    return np.asarray(place_in_channel(videos) <= share, bool)


def _outside(pairs: pd.DataFrame, rows: Flags) -> pd.DataFrame:
    """Return only the pairs whose two videos are both not in `rows` [n]."""
    touched = rows[pairs.winner.to_numpy(np.intp)] | rows[pairs.loser.to_numpy(np.intp)]
    untouched: pd.DataFrame = pairs[~touched]
    return untouched


def _no_pair_left(data: Dataset, pairs: pd.DataFrame, known: Flags) -> str:
    """Return a sentence that says why no pair is left for the evaluation."""
    if len(pairs):
        return f"the model was trained on a video of each of the {len(pairs)} pairs that it could be evaluated on"
    left_out = "; ".join(f"{count} {rule}" for rule, count in data.release.info["excluded"].items() if count)
    what = (
        f"the last {len(known) - int(known.sum())} of the {len(known)} videos"
        if known.any()
        else f"{len(known)} videos"
    )
    return f"{what} of the catalogue make no pair to evaluate on" + (f"; left out: {left_out}" if left_out else "")
