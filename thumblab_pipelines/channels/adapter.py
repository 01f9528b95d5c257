"""Fit the adapter of one channel for the served model, evaluate the adapter, and serve it.

The adapter is fitted on the channel's usable videos, which `adapter_videos.py` selects. If there are more than a
thousand, only the newest thousand are used. To evaluate the adapter, another adapter is fitted to the oldest 80 % of
these videos, and tested on the newest 20 %.

The data is prepared as in the model's training. Views are corrected for age by the growth law that the training used.
Then the local trend of the channel (see `thumblab_pipelines.statistics.trend`) is subtracted from the log views of each
video. The adapter learns the differences between these values and the model's predictions (see
`thumblab_core.ranking.adapters`). The adapter also learns from the channel's one-video pairs: two pictures that were
compared on the same video. `compared.py` reads these pairs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.database.channels import Channel, find_channel
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.ranking.adapters import MOST_VIDEOS, Adapter
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapterInfo, ChannelAdapters
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.adapter_videos import read_channel_videos
from thumblab_pipelines.channels.collect import niche_of
from thumblab_pipelines.channels.compared import ChannelPictures, read_compared
from thumblab_pipelines.channels.evaluate import AdapterEvaluation, evaluate_adapter
from thumblab_pipelines.dataset.ageing import Growth
from thumblab_pipelines.dataset.video_fingerprints import was_trained_on
from thumblab_pipelines.features.stored_vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.statistics.trend import publication_days
from thumblab_pipelines.training.adaptation import ScoredVideos, above_trend, fit_adapters

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker


_VERSION = 2
"""Version of the code that fits adapters. This version is part of the digest that shows whether an adapter is up to
date.
"""
_ENCODERS = ("image_encoder", "title_encoder")


class AnotherModelError(LabError):
    """Raised if the lab no longer serves the model for which the adapter was requested."""

    transient = True


@dataclass(frozen=True)
class FittedAdapter:
    """A channel's adapter as it is served now.

    `adapted`: whether the channel has enough videos (five) for an adapter. `videos`: number of videos to which the
    adapter is fitted. `newest`: publication time of the newest of these videos (ISO 8601). `left_out`: number of videos
    left out, by reason. `compared`: number of one-video pairs that the adapter may learn from, see `compared.py`.
    `seconds`: duration of the fit; making the vectors is not counted. `check`: the evaluation of the adapter, or None
    if the channel has too few videos or pairs for an evaluation. `unchanged`: whether an identical adapter was already
    served. In this case, no release was published.
    """

    channel_id: str
    title: str
    model: str
    release: str
    adapted: bool
    videos: int
    newest: str | None
    left_out: dict[str, int]
    compared: int
    seconds: float
    check: AdapterEvaluation | None
    unchanged: bool = False


@dataclass(frozen=True)
class RefitResult:
    """The result of fitting all added adapters again.

    `fitted`: ids of the channels whose adapter was replaced. `unchanged`: ids of the channels whose adapter stayed,
    because its inputs had not changed. `failed`: the error message of each channel whose adapter could not be fitted,
    by channel id.
    """

    fitted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChannelData:
    """The n videos of a channel, oldest first, with the model's inputs and scores.

    `videos` [n]: the table of `read_channel_videos` with a column `target`, the log of the age-corrected views.
    `inputs` [n, d]: standardised inputs of the model. `scores` [n]: scores that the model gives the videos.
    `score_slope`: the factor by which an adapter multiplies the scores (see `thumblab_core.ranking.adapters.Adapter`).
    `kernel`: the kernel of the adapter. `compared`: the one-video pairs of the channel.
    """

    videos: pd.DataFrame
    inputs: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    score_slope: float
    kernel: Kernel
    compared: ChannelPictures

    def fit(self, rows: npt.NDArray[np.intp]) -> Adapter | None:
        """Fit an adapter on only those videos whose row numbers are in `rows`. Return None if these videos are too few.

        The one-video pairs of all other videos in the table are left out too. So the adapter has learned nothing about
        the other videos, and can be evaluated on them.
        """
        if not len(rows):
            return None
        known = np.zeros(len(self.videos), bool)
        known[rows] = True
        channel = np.full(len(self.videos), "own")
        above = above_trend(channel, publication_days(self.videos), self.videos.target, known)
        compared = {"own": self.compared.without(self.videos.video_id[~known].tolist())}
        videos = ScoredVideos(self.inputs, self.scores, channel, kernel=self.kernel, compared=compared)
        return fit_adapters(videos, above, rows, self.score_slope).get("own")


def served_model(lab: Lab) -> Release:
    """Return the release of the served model. Raises `NoServedModelError` when the lab serves no model."""
    release = lab.releases.serving.current(MODEL, ALL)
    if release is None:
        raise NoServedModelError(
            "no ranking model is served yet; run train_ranker in Dagster (`thumblab up`), then add the channel",
            lab.settings.data_dir,
        )
    return release


def fit_channel_adapter(
    lab: Lab, channel: Channel, model: Release, ranker: TrainedRanker | None = None, run_id: str | None = None
) -> FittedAdapter:
    """Fit the adapter of a channel for `model`, from the videos and vectors that the lab has, and serve it.

    `ranker`: the loaded model, if it is already in memory. Raises `LabError` when the model cannot be loaded, and
    `AnotherModelError` when the lab no longer serves this model.
    """
    ranker = ranker or _loaded(model)
    adapters = ChannelAdapters(lab.releases)
    with adapters.changing(channel.channel_id):
        # The served model is checked inside the lock. After the lab starts to serve a new model, it fits every adapter
        # again, inside the same lock. So an adapter for the old model never replaces an adapter for the new model.
        if lab.releases.serving.current_id(MODEL, ALL) != model.release_id:
            raise AnotherModelError(
                "the lab started to serve another model before the adapter was fitted; run the command again"
            )
        videos, images, titles, left_out = _videos_with_vectors(lab, channel.channel_id, model)
        start = time.perf_counter()
        compared = read_compared(lab, channel.channel_id, ranker)
        data = channel_data(ranker, videos, images, titles, compared)
        adapter = data.fit(np.arange(len(videos)))
        seconds = time.perf_counter() - start
        ids = videos.video_id.tolist()
        trained_on = was_trained_on(model, ids) if ids else None
        evaluation = evaluate_adapter(
            data, images, ranker.training.get("near_duplicate"), lab.settings.pair_days, trained_on
        )
        newest = None if videos.empty else videos.published_at.iloc[-1].isoformat()
        about = ChannelAdapterInfo(
            channel.channel_id,
            channel.title,
            model.release_id,
            len(videos),
            newest,
            channel.handle,
            niche_of(lab, channel.channel_id),
        )
        inputs = _digest(about, data)
        release = lab.releases.unchanged(ADAPTER, channel.channel_id, inputs)
        unchanged = release is not None and release.release_id == adapters.current_id(channel.channel_id)
        if release is None or not unchanged:
            more: dict[str, Any] = {"inputs": inputs, **{e: model.info[e] for e in _ENCODERS}}
            more["check"] = None if evaluation is None else vars(evaluation)
            # The release must list every video whose data the adapter uses. The adapter also uses the one-video pairs,
            # so the release lists the videos of these pairs too.
            named = sorted({*ids, *compared.video_ids.tolist()})
            release = adapters.publish(about, adapter, ranker.model.config.inputs, named, more, run_id)
    return FittedAdapter(
        channel.channel_id,
        channel.title,
        model.release_id,
        release.release_id,
        adapter is not None,
        len(videos),
        newest,
        left_out,
        len(compared),
        seconds,
        evaluation,
        unchanged,
    )


def refit_channel_adapters(lab: Lab, model: Release | None = None, progress: Progress = silent) -> RefitResult:
    """Fit every added adapter again, from the videos of its channel that the lab has now.

    `model`: the model to fit the adapters for. By default, adapters are fitted for the served model.

    An adapter whose inputs have not changed is not published again. If fitting an adapter fails, the old adapter stays,
    the result reports the error, and the adapters of the remaining channels are still fitted. Raises `LabError` when
    the model cannot be loaded.
    """
    result = RefitResult()
    channel_ids = ChannelAdapters(lab.releases).channels()
    if not channel_ids:
        return result
    model = model or served_model(lab)
    ranker = _loaded(model)
    for done, channel_id in enumerate(channel_ids):
        progress("channel adapters", done, len(channel_ids))
        try:
            with lab.engine.connect() as connection:
                channel = find_channel(connection, channel_id)
            if channel is None or channel.channel_id != channel_id:
                # The channel and all its videos were deleted from the lab. The adapter was fitted to the deleted
                # videos, so it is deleted too.
                ChannelAdapters(lab.releases).remove(channel_id)
                result.failed[channel_id] = "the lab does not know the channel any more; its adapter was removed"
                continue
            fitted = fit_channel_adapter(lab, channel, model, ranker)
            (result.unchanged if fitted.unchanged else result.fitted).append(channel_id)
        except Exception as error:  # noqa: BLE001  an error of one channel must not stop the others
            result.failed[channel_id] = (
                str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            )
    progress("channel adapters", len(channel_ids), len(channel_ids))
    return result


def channel_data(
    ranker: TrainedRanker,
    videos: pd.DataFrame,
    images: Floats,
    titles: Floats,
    compared: ChannelPictures | None = None,
) -> ChannelData:
    """Return the channel's videos with their targets and with the model's inputs and scores.

    `videos`: the table of `read_channel_videos`. `images` [n, d_i] and `titles` [n, d_t]: the vectors of these videos,
    in the same order. `compared`: the one-video pairs of the channel, by default none.
    """
    from thumblab_core.ranking.inputs import model_inputs

    score_slope, kernel = float(ranker.training.get("kept", 1.0)), Kernel.of(ranker.model.config.layout)
    compared = compared or ChannelPictures.none(ranker.model.config.inputs)
    if videos.empty:
        nothing = np.zeros((0, ranker.model.config.inputs), np.float32)
        return ChannelData(videos.assign(target=[]), nothing, np.zeros(0, np.float32), score_slope, kernel, compared)
    vectors = images.astype(np.float32), titles.astype(np.float32)
    version, seconds = ranker.model.config.version, videos.duration_s.to_numpy(float)
    words = [words if isinstance(words, str) else None for words in videos.picture_words]
    inputs = model_inputs(*vectors, videos.title.tolist(), version, words, seconds)
    scores = ranker.model.predict(inputs).score
    with_target = videos.assign(target=growth_of(ranker).target(videos))
    return ChannelData(with_target, ranker.model.standardise(inputs), scores, score_slope, kernel, compared)


def growth_of(ranker: TrainedRanker) -> Growth:
    """Return the growth law that the model's training used to correct views for age."""
    return Growth(**(ranker.training.get("growth") or {}))


def _videos_with_vectors(
    lab: Lab, channel_id: str, model: Release
) -> tuple[pd.DataFrame, Floats, Floats, dict[str, int]]:
    """Return the channel's newest usable videos, their picture and title vectors, and the number of videos that were
    left out for each reason.
    """
    videos, left_out = read_channel_videos(lab, channel_id, model)
    if len(videos) > MOST_VIDEOS:
        left_out["older than the newest thousand"] = len(videos) - MOST_VIDEOS
        videos = videos[-MOST_VIDEOS:].reset_index(drop=True)
    ids = videos.video_id.tolist()
    (images, has_image), (titles, has_title) = (
        read_vectors(lab, ids, shown, str(model.info[encoder]))
        for shown, encoder in zip(digests(videos), _ENCODERS, strict=True)
    )
    complete = has_image & has_title
    if not complete.all():
        left_out["forgotten meanwhile"] = int((~complete).sum())
        videos, images, titles = videos[complete].reset_index(drop=True), images[complete], titles[complete]
    return videos, images, titles, left_out


def _loaded(model: Release) -> TrainedRanker:
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    return TrainedRanker.load(model)


def _digest(about: ChannelAdapterInfo, data: ChannelData) -> str:
    """Return a digest of everything that the fitted adapter depends on.

    As long as the digest stays the same, a new fit would give the same adapter.
    """
    blobs = [data.inputs.tobytes(), np.asarray(data.videos.target, np.float64).tobytes()]
    of = data.compared.pictures
    blobs += [np.ascontiguousarray(array).tobytes() for array in (of.first, of.second, of.gaps, of.variances)]
    ids = [data.videos.video_id.tolist(), data.compared.video_ids.tolist()]
    return inputs_digest(_VERSION, vars(about), data.score_slope, *ids, blobs=blobs)
