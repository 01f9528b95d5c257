"""Judge a model that is there already on another catalogue, as it is and adapted to the channels of that catalogue.

The catalogue has a lab of its own, so nothing of it reaches the model's; it is encoded as the model was trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from thumblab_core.database.tables import channels, videos
from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, ENCODER, MODEL, Release
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.seen_videos import seen_by
from thumblab_pipelines.evaluation.questions import ADAPTED, Evaluation, Question
from thumblab_pipelines.evaluation.questions import MODEL as SCORER
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.purge import alive_videos, clean_images, clean_pairs
from thumblab_pipelines.training.adaptation import above_trend, adjusted, fit_adapters
from thumblab_pipelines.videos.deletion import delete_videos

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker

UNADAPTED = "unadapted"
"""The split whose scorer is the model without any channel's history."""
CHAMPION = "champion"

_RELEASE = re.compile(r".+@(\d{8}T\d{12}Z-[0-9a-f]{8})")


@dataclass(frozen=True)
class CatalogueEvaluation:
    """What a model is worth on a catalogue: of the splits `UNADAPTED` and, where channels were adapted to, `ADAPTED`.

    `pairs_release` is what was made of the catalogue. `seen`: how many of its `videos` the model was trained on, and how
    many `pairs` were not judged because of them; None where the model's release does not say. `channels_adapted` of the
    channels had history enough.
    """

    evaluations: list[Evaluation]
    pairs_release: Release
    seen: dict[str, int] | None
    channels_adapted: int


def named_model(lab: Lab, name: str) -> Release:
    """The served model for `champion`, else the model release of that id. Raises `LabError` that says which are there."""
    if name == CHAMPION:
        served = lab.releases.serving.current(MODEL, ALL)
        if served is None:
            raise LabError("no model is served yet; `thumblab refresh` trains and serves one on what the lab holds")
        return served
    there = {release.release_id: release for release in lab.releases.all(MODEL, ALL)}
    if name not in there:
        raise LabError(
            f"there is no model release {name}; there are {', '.join(there) or 'none: `thumblab train` makes one'}"
        )
    return there[name]


def encoding_of(lab: Lab, model: Release) -> dict[str, Any]:
    """The settings by which another lab encodes as `lab` did for the model. Raises `LabError` where it cannot."""
    name = model.info.get("image_encoder_name")
    if not name:
        raise LabError(f"{model} does not say how its pictures were encoded; train it again")
    found = named_image_encoder(name, lab.settings.releases).fingerprint
    if found != model.info["image_encoder"]:
        raise LabError(f"{model} was trained on pictures by {model.info['image_encoder']}, and {name} is {found} here")
    titles = title_encoder(lab.settings.title_encoder).fingerprint
    if titles != model.info["title_encoder"]:
        raise LabError(
            f"{model} was trained on titles by {model.info['title_encoder']}, and THUMBLAB_TITLE_ENCODER is {titles}"
        )
    return {"image_encoder": name, "encoder_precision": "float32"}  # the precision is in the name


def mirror_catalogue(lab: Lab, folder: Path, progress: Progress = silent) -> Imported:
    """Make the lab, which is for this folder alone, hold what `videos.csv` names now: rows taken out are forgotten.

    A row that is there and cannot be read keeps what an earlier reading knew of it; while one cannot even be told by its
    id, nothing is forgotten. Raises `LabError` as `import_catalogue` does, and where the lab holds other videos as well.
    """
    with lab.engine.connect() as connection:
        if connection.scalar(select(videos.c.video_id).where(videos.c.source != "catalogue").limit(1)) is not None:
            raise LabError(
                f"{lab.settings.data_dir} holds videos that are of no catalogue; a catalogue is judged apart"
            )
    report = import_catalogue(lab, folder, progress)
    named = report.video_ids | {problem.video_id for problem in report.problems}
    if "" not in named:
        with lab.engine.begin() as connection:
            delete_videos(connection, sorted(alive_videos(connection) - named))
        clean_pairs(lab, successors=False)
        clean_images(lab)
    return report


def evaluate_on_catalogue(
    home: Lab, model: Release, lab: Lab, share: float | None = None, progress: Progress = silent
) -> CatalogueEvaluation:
    """Judge a model of the lab `home` on what `lab` holds, which was opened with the settings of `encoding_of`.

    `share`: adapt to the first so much of each channel by date, and judge on the pairs of the rest; None: on all pairs, as
    it is. Pairs of videos that the model has seen are left out. Raises `LabError` where no pair remains.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    trained = TrainedRanker.load(model)
    _bring_encoder(home, model, lab)
    with lab.engine.connect() as connection:
        niches = connection.scalars(select(videos.c.niche).distinct().order_by(videos.c.niche)).all()
    for niche in niches:
        embed(lab, niche, progress)
    source = build_pairs(lab).release
    data = load_dataset(lab, source)
    known = _first(data.videos, share or 0.0)
    pairs = _outside(data.pairs, known)
    seen = seen_by(model, data.videos.video_id.tolist())
    judged = pairs if seen is None else _outside(pairs, seen)
    if judged.empty:
        raise LabError(_nothing_left(data, pairs, known))
    answers = _Answers(data, trained, judged)
    evaluations, adapted = list(answers.unadapted()), 0
    if share is not None:
        found, adapted = answers.adapted(known)
        evaluations += found
    left_out = None if seen is None else {"videos": int(seen.sum()), "pairs": len(pairs) - len(judged)}
    return CatalogueEvaluation(evaluations, source, left_out, adapted)


def channel_names(lab: Lab) -> dict[str, str]:
    """The title of each channel of the lab, by its id."""
    with lab.engine.connect() as connection:
        return {row.channel_id: row.title or "" for row in connection.execute(select(channels))}


class _Answers:
    """What a model says of a catalogue, and how right it is on its pairs."""

    def __init__(self, data: Dataset, trained: TrainedRanker, pairs: pd.DataFrame) -> None:
        from thumblab_core.ranking.ranker import join

        self._data, self._trained, self._pairs = data, trained, pairs
        inputs = join(data.images, data.titles, data.videos.title.tolist(), trained.model.config.title_facts)
        self._inputs, self._scores = inputs, trained.predict_inputs(inputs).score

    def unadapted(self) -> Iterator[Evaluation]:
        return self._figures(UNADAPTED, self._scores.astype(np.float64), self._trained.calibration.slope)

    def adapted(self, known: npt.NDArray[np.bool_]) -> tuple[list[Evaluation], int]:
        """The figures with histories made of the known rows alone, and how many channels have one."""
        from thumblab_pipelines.training.train import published_days

        data, kept = self._data, float(self._trained.training.get("kept", 1.0))
        channel = data.videos.channel_id.to_numpy(str)
        above = above_trend(channel, published_days(data), data.videos.target, known)
        compare = self._trained.model.standardise
        adapters = fit_adapters(
            self._inputs, self._scores, above, channel, np.flatnonzero(known), kept, compare=compare
        )
        scores = adjusted(self._inputs, self._scores, channel, adapters, compare)
        return list(self._figures(ADAPTED, scores, self._trained.calibration.slope_adapted)), len(adapters)

    def _figures(self, split: str, scores: npt.NDArray[np.float64], slope: float) -> Iterator[Evaluation]:
        question = Question(split, self._pairs)
        yield from question.aucs(SCORER, scores)
        yield from question.parts(self._data.videos, SCORER, scores)
        yield from question.certainty(scores, slope)
        yield from question.correlations(self._data.videos, np.unique(self._pairs[["winner", "loser"]]), scores)


def _bring_encoder(home: Lab, model: Release, lab: Lab) -> None:
    """Give the lab the encoder that `home` has settled on, where the model's is one of those."""
    name = str(model.info["image_encoder_name"])
    settled = _RELEASE.fullmatch(name)
    encoder = named_image_encoder(name, home.settings.releases)
    if settled is not None and isinstance(encoder, LearntEncoder):
        release = home.releases.get(ENCODER, encoder.base, settled[1])
        lab.releases.restore(ENCODER, encoder.base, settled[1], release.path)


def _first(videos: pd.DataFrame, share: float) -> npt.NDArray[np.bool_]:
    """[n] whether a video is in the first so much of its channel, by date; `videos` in order of publication."""
    channel = videos.groupby("channel_id").channel_id
    first = (channel.cumcount() + 0.5) / channel.transform("size").astype(float) <= share
    return np.asarray(first.to_numpy(bool), np.bool_)


def _outside(pairs: pd.DataFrame, rows: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The pairs of which neither video is in the rows [n]."""
    inside = rows[pairs.winner.to_numpy(np.intp)] | rows[pairs.loser.to_numpy(np.intp)]
    kept: pd.DataFrame = pairs[~inside]
    return kept


def _nothing_left(data: Dataset, pairs: pd.DataFrame, known: npt.NDArray[np.bool_]) -> str:
    if len(pairs):
        return f"the model was trained on a video of each of the {len(pairs)} pairs that it could be judged on"
    left_out = "; ".join(f"{count} {rule}" for rule, count in data.release.info["excluded"].items() if count)
    what = (
        f"the last {len(known) - int(known.sum())} of the {len(known)} videos"
        if known.any()
        else f"{len(known)} videos"
    )
    return f"{what} of the catalogue make no pair to judge by" + (f"; left out: {left_out}" if left_out else "")
