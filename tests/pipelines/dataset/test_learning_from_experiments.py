"""Test that a model learns from a channel's experiments which pictures the viewers of this channel like.

The tests do the same steps as a real lab: they store experiments in PostgreSQL, build a pairs release from the
experiments, and train a model on this release.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from planted_one_video import PlantedLab, planted_lab

from demo.catalogues.effects import PlantedEffects
from thumblab_core.arrays import Float64s
from thumblab_core.database.channels import find_channel
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import decode
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, PAIRS
from thumblab_pipelines.channels.adapter import FittedAdapter, fit_channel_adapter, refit_channel_adapters
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.splits import TEST, TRAIN
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.one_video_inputs import OneVideoInputs
from thumblab_pipelines.training.train import train
from thumblab_pipelines.videos.deletion import delete_videos

EXPERIMENTS = 40
NEW_PAIRS = 300
BRIEF = TrainConfig(epochs=2)


@dataclass(frozen=True)
class Learnt:
    """Two models that were trained on the same videos of `data`. Only `informed` was also trained on the experiments.

    `channel` is the id of the channel that made the experiments.
    """

    data: Dataset
    channel: str
    informed: TrainedRanker
    uninformed: TrainedRanker

    def models(self) -> tuple[TrainedRanker, TrainedRanker]:
        return self.informed, self.uninformed


@pytest.fixture(scope="module")
def planted(open_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> PlantedLab:
    folder = tmp_path_factory.mktemp("variants")
    return planted_lab(open_lab, folder, 150, EXPERIMENTS, PlantedEffects(taste=2.0), weeks=1)


@pytest.fixture(scope="module")
def learnt(planted: PlantedLab) -> Learnt:
    data = load_dataset(planted.lab, build_pairs(planted.lab).release)
    (channel,) = data.one_video.pairs.channel_id.unique()
    without = dataclasses.replace(data, one_video=OneVideoPairs.none())
    return Learnt(data, str(channel), train(data, BRIEF).ranker, train(without, BRIEF).ranker)


@pytest.mark.slow
def test_the_experiments_of_a_channel_are_divided_into_learnt_and_held_out_ones(learnt: Learnt) -> None:
    pairs = learnt.data.one_video.pairs
    assert len(pairs) >= EXPERIMENTS
    learnt_pairs, held_out = (pairs[pairs.part == part] for part in (TRAIN, TEST))
    assert len(learnt_pairs) >= 15
    # A pair may be held out because its video is held out. Such a pair may be older than the training pairs. `later`
    # leaves out such pairs, and has only pairs that are held out because their experiments came later.
    part_of_video = held_out.video_id.map(learnt.data.videos.set_index("video_id").part)
    later = held_out[part_of_video.isna() | (part_of_video == TRAIN)]
    assert len(later) >= 5
    assert learnt_pairs.happened_on.max() < later.happened_on.min()
    compared = [model.adapter(learnt.channel) for model in learnt.models()]
    assert compared[0] is not None and compared[1] is not None
    assert (compared[0].compared, compared[1].compared) == (len(learnt_pairs), 0)
    assert compared[0].videos == compared[1].videos


def right(model: TrainedRanker, channel: str, inputs: OneVideoInputs, gaps: Float64s) -> Float64s:
    """Return 1 for each pair in which the model prefers the better picture, and 0 for each other pair.

    The model uses the adapter of `channel`. If a gap in `gaps` is positive, the first picture of the pair is better. If
    a gap is negative, the second picture is better.
    """
    adapter = model.adapter(channel)
    first, second = (model.predict_inputs(side, adapter).score for side in (inputs.first, inputs.second))
    return np.asarray(np.sign(first - second) == np.sign(gaps), np.float64)


def test_forty_experiments_raise_the_accuracy_on_held_out_experiments_of_the_channel(learnt: Learnt) -> None:
    pairs = learnt.data.one_video.pairs
    held_out = ((pairs.part == TEST) & pairs.decided).to_numpy(bool)
    inputs = OneVideoInputs.of(learnt.data.one_video, np.flatnonzero(held_out))
    gaps = pairs.gap.to_numpy(float)[held_out]
    informed, uninformed = (right(model, learnt.channel, inputs, gaps).mean() for model in learnt.models())
    assert held_out.sum() >= 10
    assert informed > uninformed


def vectors(images: list[bytes]) -> Vectors:
    encoder = BuiltinEncoder()
    return encoder.encode_prepared([encoder.prepare(decode(image).pixels) for image in images])


@pytest.mark.slow
def test_forty_experiments_raise_the_accuracy_on_new_pictures_of_the_channel_measurably(
    planted: PlantedLab, learnt: Learnt
) -> None:
    """Let both models order 300 pairs of new pictures, which were in no experiment.

    The catalogue contains the quality of each picture, so the better picture of a pair is known. Of 100 pairs, the
    model that learnt from the experiments must put at least 3 more pairs in the right order than the other model. The
    95 % interval of this difference must be above 0.
    """
    ids = [video.video_id for video in planted.catalogue.channels[learnt.channel].videos]
    drawn = [
        [planted.catalogue.new_picture(ids[n % len(ids)], f"{n}{side}") for side in "ab"] for n in range(NEW_PAIRS)
    ]
    gaps = np.array([first.quality - second.quality for first, second in drawn])
    videos = learnt.data.videos.set_index("video_id")
    rows = [videos.index.get_loc(one) for one in ids if one in videos.index]
    titles = learnt.data.titles[np.resize(rows, NEW_PAIRS)]
    texts = learnt.data.videos.title.iloc[np.resize(rows, NEW_PAIRS)].tolist()
    sides = [vectors([pair[side].image for pair in drawn]) for side in (0, 1)]
    wins = []
    for model in learnt.models():
        adapter = model.adapter(learnt.channel)
        first, second = (model.predict(side, titles, texts, adapter).score for side in sides)
        wins.append((np.sign(first - second) == np.sign(gaps)).astype(np.float64))
    lead = wins[0] - wins[1]
    assert lead.mean() > 0.03, [float(side.mean()) for side in wins]
    assert lead.mean() > 1.96 * lead.std() / np.sqrt(NEW_PAIRS), [float(side.mean()) for side in wins]


def test_an_added_adapter_learns_the_experiments_for_training_and_forgets_deleted_ones(
    planted: PlantedLab, learnt: Learnt
) -> None:
    lab, pairs = planted.lab, learnt.data.one_video.pairs
    names = ("image_encoder", "title_encoder", "image_encoder_name")
    model = lab.releases.publish(
        MODEL, ALL, learnt.informed.save, {name: learnt.data.release.info[name] for name in names}
    )
    lab.releases.serving.promote(model)
    with lab.engine.connect() as connection:
        channel = find_channel(connection, learnt.channel)
    assert channel is not None

    def added() -> tuple[FittedAdapter, Adapter]:
        fitted = fit_channel_adapter(lab, channel, model)
        adapter = ChannelAdapters(lab.releases).load(channel.channel_id, fitted.release).adapter
        assert adapter is not None
        return fitted, adapter

    fitted, adapter = added()
    own, chosen = learnt.informed.adapter(learnt.channel), (pairs.part == TRAIN).to_numpy(bool)
    assert own is not None
    assert fitted.compared == adapter.compared == own.compared == chosen.sum()
    np.testing.assert_array_equal(
        adapter.history.unpacked()[-2 * own.compared :], own.history.unpacked()[-2 * own.compared :]
    )
    assert fit_channel_adapter(lab, channel, model).unchanged
    forgotten = str(pairs.video_id[chosen].iloc[0])
    with lab.engine.begin() as connection:
        delete_videos(connection, [forgotten])
    left = added()[1]
    assert left.compared == (chosen & (pairs.video_id != forgotten)).sum()
    fewer = learnt.data.one_video.only(np.asarray(chosen & (np.arange(len(pairs)) < 10)))
    lab.releases.publish(PAIRS, ALL, fewer.save, learnt.data.release.info)
    refitted, _ = added()
    assert (refitted.unchanged, refitted.compared) == (False, len(fewer.without_videos([forgotten])))
    assert refit_channel_adapters(lab, model).unchanged == [channel.channel_id]
