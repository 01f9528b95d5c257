"""The history of one channel: learnt from its own videos for the served model, judged on the newest of them, and served.

Everything is as at training: views corrected by age as the model's pairs were, above the channel's local trend, less what
the model says. What is left is the channel's own, see `thumblab_core.ranking.adapters`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import MOST_VIDEOS, Adapter
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.adapter_videos import read_own
from thumblab_pipelines.channels.collect import Channel, find_channel
from thumblab_pipelines.channels.evaluate import AdapterEvaluation, evaluate_adapter
from thumblab_pipelines.dataset.ageing import Growth
from thumblab_pipelines.dataset.seen_videos import seen_by
from thumblab_pipelines.features.vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.training.adaptation import above_trend, fit_adapters

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker


_VERSION = 1
_ENCODERS = ("image_encoder", "title_encoder")


class AnotherModelError(LabError):
    """Another model is served than the one that a history is to be learnt for."""

    transient = True


@dataclass(frozen=True)
class Fitted:
    """A channel's history as it is served now.

    `adapted`: whether it has one, which takes five videos; `left_out`: videos by reason; `seconds`: for learning it, given
    the vectors; `check`: None where its newest videos make too few pairs; `unchanged`: it was there already.
    """

    channel_id: str
    title: str
    model: str
    release: str
    adapted: bool
    videos: int
    newest: str | None
    left_out: dict[str, int]
    seconds: float
    check: AdapterEvaluation | None
    unchanged: bool = False


@dataclass(frozen=True)
class Refitted:
    """What became of the added histories: those learnt anew, those that were good already, and why others failed."""

    fitted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Own:
    """A channel's n videos as the model sees them, oldest first: standardised inputs [n, d] and its scores [n].

    `videos` [n] as `read_own` gives them, with their `target`; `kept`: see `thumblab_core.ranking.adapters.Adapter`.
    """

    videos: pd.DataFrame
    inputs: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    kept: float

    def fit(self, rows: npt.NDArray[np.intp]) -> Adapter | None:
        """The history of these rows, which nothing else is looked at for. None where they are too few."""
        if not len(rows):
            return None
        known = np.zeros(len(self.videos), bool)
        known[rows] = True
        channel = np.full(len(self.videos), "own")
        above = above_trend(channel, _days(self.videos), self.videos.target, known)
        return fit_adapters(self.inputs, self.scores, above, channel, rows, self.kept).get("own")


def served_model(lab: Lab) -> Release:
    """The release of the served model. Raises `LabError` when none is served."""
    release = lab.releases.serving.current(MODEL, ALL)
    if release is None:
        raise LabError(
            "no ranking model is served yet; run train_ranker in Dagster (`thumblab up`), then add the channel"
        )
    return release


def fit_channel_adapter(
    lab: Lab, channel: Channel, model: Release, ranker: TrainedRanker | None = None, run_id: str | None = None
) -> Fitted:
    """Learn the history of a channel for a model from the videos and vectors that are there, and serve it.

    `ranker`: the model's content, where it is in memory. Raises `LabError` when the model cannot be loaded, or is no longer
    the one that is served.
    """
    ranker = ranker or _loaded(model)
    histories = ChannelAdapters(lab.releases)
    with histories.changing(channel.channel_id):
        # Whoever serves a new model learns all histories anew after that, each under this lock: asked for in here, what is
        # learnt for the model before can be replaced by that, and never replaces it.
        if lab.releases.serving.current_id(MODEL, ALL) != model.release_id:
            raise AnotherModelError("another model is served meanwhile; run it again")
        videos, left_out = read_own(lab, channel.channel_id, model)
        if len(videos) > MOST_VIDEOS:
            left_out["older than the newest thousand"] = len(videos) - MOST_VIDEOS
            videos = videos[-MOST_VIDEOS:].reset_index(drop=True)
        ids = videos.video_id.tolist()
        (images, first), (titles, second) = (
            read_vectors(lab, ids, shown, str(model.info[e]))
            for shown, e in zip(digests(videos), _ENCODERS, strict=True)
        )
        both = first & second
        if not both.all():
            left_out["forgotten meanwhile"] = int((~both).sum())
            videos, images, titles = videos[both].reset_index(drop=True), images[both], titles[both]
        start = time.perf_counter()
        own = prepare(ranker, videos, images, titles, growth_of(ranker))
        adapter = own.fit(np.arange(len(videos)))
        seconds = time.perf_counter() - start
        ids = videos.video_id.tolist()
        trained_on = seen_by(model, ids) if ids else None
        check = evaluate_adapter(own, images, ranker.training.get("near_duplicate"), lab.settings.pair_days, trained_on)
        newest = None if videos.empty else videos.published_at.iloc[-1].isoformat()
        about = ChannelAdapterInfo(channel.channel_id, channel.title, model.release_id, len(videos), newest)
        inputs = _digest(about, own)
        there = lab.releases.unchanged(ADAPTER, channel.channel_id, inputs)
        unchanged = there is not None and there.release_id == histories.current_id(channel.channel_id)
        if there is None or not unchanged:
            more: dict[str, Any] = {"inputs": inputs, **{e: model.info[e] for e in _ENCODERS}}
            more["check"] = None if check is None else vars(check)
            there = histories.publish(about, adapter, ranker.model.config.inputs, ids, more, run_id)
    return Fitted(
        channel.channel_id,
        channel.title,
        model.release_id,
        there.release_id,
        adapter is not None,
        len(videos),
        newest,
        left_out,
        seconds,
        check,
        unchanged,
    )


def refit_channel_adapters(lab: Lab, model: Release | None = None, progress: Progress = silent) -> Refitted:
    """Learn every added history anew for a model, the served one by default, from the videos that are left of its channel.

    One that nothing has changed for stays as it is. One that fails stops no other: it is left as it was, and named. Raises
    `LabError` when the model cannot be loaded.
    """
    found = Refitted()
    names = ChannelAdapters(lab.releases).channels()
    if not names:
        return found
    model = model or served_model(lab)
    ranker = _loaded(model)
    for done, name in enumerate(names):
        progress("histories of channels", done, len(names))
        try:
            channel = find_channel(lab, name)
            if (
                channel is None or channel.channel_id != name
            ):  # forgotten with all its videos: so is what was learnt of them
                ChannelAdapters(lab.releases).remove(name)
                found.failed[name] = "the lab does not know the channel any more; its history was removed"
                continue
            fitted = fit_channel_adapter(lab, channel, model, ranker)
            (found.unchanged if fitted.unchanged else found.fitted).append(name)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one channel is no matter of the others
            found.failed[name] = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
    progress("histories of channels", len(names), len(names))
    return found


def prepare(ranker: TrainedRanker, videos: pd.DataFrame, images: Floats, titles: Floats, growth: Growth) -> Own:
    """The channel's videos as the model sees them; `videos` as `read_own` gives them, and their vectors in that order."""
    from thumblab_core.ranking.ranker import join

    kept = float(ranker.training.get("kept", 1.0))
    if videos.empty:
        nothing = np.zeros((0, ranker.model.config.inputs), np.float32)
        return Own(videos.assign(target=[]), nothing, np.zeros(0, np.float32), kept)
    facts = ranker.model.config.title_facts
    inputs = join(images.astype(np.float32), titles.astype(np.float32), videos.title.tolist(), facts)
    scores = ranker.model.predict(inputs).score
    return Own(videos.assign(target=growth.target(videos)), ranker.model.standardise(inputs), scores, kept)


def growth_of(ranker: TrainedRanker) -> Growth:
    """How the model's training corrected views by age."""
    return Growth(**(ranker.training.get("growth") or {}))


def _loaded(model: Release) -> TrainedRanker:
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    return TrainedRanker.load(model)


def _days(videos: pd.DataFrame) -> npt.NDArray[np.float64]:
    """[n] when each video was published, in days."""
    import pandas as pd

    moments = pd.to_datetime(videos.published_at, utc=True).to_numpy("datetime64[s]")
    return np.asarray(moments.astype(np.int64) / 86_400.0, np.float64)


def _digest(about: ChannelAdapterInfo, own: Own) -> str:
    """Of all that the history is made of."""
    blobs = [own.inputs.tobytes(), np.asarray(own.videos.target, np.float64).tobytes()]
    return inputs_digest(_VERSION, vars(about), own.kept, own.videos.video_id.tolist(), blobs=blobs)
