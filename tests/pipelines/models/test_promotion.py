"""Tests of the rules by which a new model is promoted.

If a new model can be compared with the served model, it is promoted only if it is not worse. A person may serve
another model than the newest one. The model that the person replaced is then never promoted again. An even newer model
may replace the person's choice.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from planted_catalogue import RED, plant
from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dataset.load import Dataset, load_dataset, with_vectors_of
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, fingerprints, was_trained_on
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import comparison
from thumblab_pipelines.models.build import build_model
from thumblab_pipelines.models.comparison import compare_models, model_scores
from thumblab_pipelines.models.promotion import check_served_model, decide, promote_by_hand, promote_newest
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.videos.names import channel_id_of

Publish = Callable[..., Release]


def test_a_release_records_which_videos_it_has_seen(scored_lab: Lab) -> None:
    def write(folder: Path) -> None:
        np.save(folder / FINGERPRINTS_FILE, fingerprints(["b", "a", "b"]))

    seen = fingerprints(["b", "a", "b"])
    assert (seen.dtype, len(seen), bool(np.all(seen[:-1] < seen[1:]))) == (np.uint64, 2, True)
    release = scored_lab.releases.publish(MODEL, ALL, write, {})
    flags = was_trained_on(release, ["c", "a", "b", "a"])
    assert flags is not None
    assert flags.tolist() == [False, True, True, True]
    assert (
        was_trained_on(scored_lab.releases.publish(MODEL, ALL, lambda folder: (folder / "x").touch(), {}), ["a"])
        is None
    )


def test_the_first_model_is_served_and_a_worse_one_is_not_promoted_over_it(scored_lab: Lab, publish: Publish) -> None:
    good = publish(0.5)
    _, served, decision = promote_newest(scored_lab)
    assert (served, decision.reason) == (good, "no model was served before")
    bad = publish(30.0)
    challenger, served, decision = promote_newest(scored_lab)
    assert (challenger, served, decision.promoted) == (bad, good, False)
    assert scored_lab.releases.serving.current_id(MODEL, ALL) == good.release_id
    pointer, promoted = check_served_model(scored_lab, served, decision)
    assert (pointer.passed, promoted.passed, promoted.advisory) == (True, False, True)
    assert promoted.explanation.startswith(f"worse than {good.release_id} on package: AUC 0.")

    better = publish(0.1)
    assert promote_newest(scored_lab)[:2] == (better, better)
    assert promote_newest(scored_lab)[2].reason == "it is served already"


def test_a_model_that_is_worse_on_one_question_is_not_promoted_and_the_question_is_named(
    scored_lab: Lab, publish: Publish
) -> None:
    champion = publish(0.3)
    promote_newest(scored_lab)
    publish(0.3, one_video=-1.0)
    _, served, decision = promote_newest(scored_lab)
    assert (served, decision.promoted) == (champion, False)
    assert [(one.question, one.not_worse) for one in decision.comparisons] == [
        ("package", True), ("one_title", True), ("one_video", False),
    ]  # fmt: skip
    assert decision.reason.startswith(f"worse than {champion.release_id} on one_video: AUC 0.")
    assert "package" not in decision.reason

    better = publish(0.1)
    _, served, decision = promote_newest(scored_lab)
    assert served == better
    questions = ("package", "one_title", "one_video")
    assert decision.reason.startswith(f"not worse than {champion.release_id} on package: AUC 0.")
    assert all(f"{question}: AUC" in decision.reason for question in questions)


@pytest.mark.slow
def test_a_one_video_pair_that_a_model_was_trained_on_is_not_compared(
    scored_lab: Lab, publish: Publish, newest_pairs: Dataset
) -> None:
    pairs = newest_pairs.one_video.pairs
    test = pairs.pair_id[pairs.part == TEST].tolist()
    champion, challenger = publish(0.3, seen=test[:9]), publish(0.3, seed=1, seen=test[5:20])
    comparisons = {one.question: one for one in decide(scored_lab, challenger, champion).comparisons}
    assert comparisons["one_video"].pairs == len(test) - 20
    all_but_49 = publish(0.3, seed=2, seen=test[49:])
    assert [one.question for one in decide(scored_lab, all_but_49, champion).comparisons] == ["package", "one_title"]


@pytest.mark.slow
def test_a_model_that_a_person_replaced_is_not_promoted_again(scored_lab: Lab, publish: Publish) -> None:
    old = publish(0.5)
    promote_newest(scored_lab)
    new = publish(0.4)
    assert promote_newest(scored_lab)[1] == new
    promote_by_hand(scored_lab, old)
    challenger, served, decision = promote_newest(scored_lab)
    assert (challenger, served, decision.promoted) == (new, old, False)
    assert "was replaced by a person, who chose" in decision.reason
    # A newer model replaces the person's choice only if it is better.
    publish(30.0)
    assert promote_newest(scored_lab)[1] == old
    newest = publish(0.1)
    assert promote_newest(scored_lab)[1] == newest


@pytest.mark.slow
def test_the_newest_model_is_compared_with_a_persons_choice_that_is_not_served_yet(
    scored_lab: Lab, publish: Publish
) -> None:
    weak, strong = publish(3.0, seed=1), publish(0.1)
    promote_by_hand(scored_lab, weak)
    middling = publish(1.0)
    assert not promote_newest(scored_lab, chosen=strong)[2].promoted
    assert scored_lab.releases.serving.current_id(MODEL, ALL) == weak.release_id
    assert promote_newest(scored_lab)[1] == middling


@pytest.mark.slow
@pytest.mark.parametrize(
    ("champion", "reason"),
    [
        ({"broken": True}, "can no longer be loaded"),
        # The weights of the encoder were changed after the champion was trained, but the encoder has the same name.
        ({"image_encoder": "another"}, "no longer available"),
        ({"title_encoder": "another", "image_encoder_name": "onnx:another"}, "no longer available"),
        ({"image_encoder": "another", "image_encoder_name": "onnx:another"}, "only 0 held-out pairs have vectors"),
    ],
)
def test_a_champion_that_cannot_be_compared_is_replaced_and_the_reason_is_given(
    scored_lab: Lab, publish: Publish, champion: dict[str, object], reason: str
) -> None:
    scored_lab.releases.serving.promote(publish(0.1, **champion))
    new = publish(1.0)
    _, served, decision = promote_newest(scored_lab)
    assert (served, decision.promoted, decision.comparisons) == (new, True, ())
    assert reason in decision.reason


@pytest.mark.slow
def test_models_of_two_encoders_are_compared_on_videos_with_vectors_of_both(
    open_lab: Callable[..., Lab], drawn: Callable[..., bytes], tmp_path: Path
) -> None:
    """Compare the model `first`, which uses the lab's encoder, with `other`, which uses an encoder called `another`.

    The encoder `another` does not exist, so the test stores its vectors. The vectors of `another` are the vectors of
    the lab's encoder times -1. The videos of one channel get no vectors of `another`.
    """
    lab = open_lab()
    plant(tmp_path, drawn, {f"channel {n}": RED for n in range(8)}, 28)
    import_catalogue(lab, tmp_path)
    embed(lab, "tech")
    build_pairs(lab)
    first = build_model(lab, TrainConfig(epochs=1)).release
    encoder = str(first.info["image_encoder"])
    with lab.engine.begin() as connection:
        unseen = text("SELECT video_id FROM videos WHERE channel_id = :channel")
        without_vector = set(connection.scalars(unseen, {"channel": channel_id_of("channel 0")}))
        copied = text(
            "INSERT INTO embeddings (video_id, encoder, source_digest, vector) "
            "SELECT video_id, 'another', source_digest, vector - vector - vector FROM embeddings "
            "WHERE encoder = :encoder AND NOT video_id = ANY(:without_vector)"
        )
        connection.execute(copied, {"encoder": encoder, "without_vector": list(without_vector)})
        # For one video, the stored vector of `another` belongs to a picture that the video no longer has.
        swapped = connection.scalar(text("SELECT min(video_id) FROM embeddings WHERE encoder = 'another'"))
        stale = text("UPDATE embeddings SET source_digest = 'old' WHERE encoder = 'another' AND video_id = :swapped")
        connection.execute(stale, {"swapped": swapped})

    def copy(folder: Path) -> None:
        shutil.copytree(first.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))

    other = lab.releases.publish(
        MODEL, ALL, copy, first.info | {"image_encoder": "another", "image_encoder_name": "onnx:another"}
    )
    data = load_dataset(lab, lab.releases.get(PAIRS, ALL, str(first.info["pairs_release"])))
    other_data, has_vectors = with_vectors_of(lab, data, other)
    assert set(data.videos.video_id[~has_vectors]) == (without_vector | {swapped}) & set(data.videos.video_id)
    np.testing.assert_array_equal(other_data.images[has_vectors], -data.images[has_vectors])
    assert not other_data.images[~has_vectors].any()

    decision = decide(lab, first, other)
    pairs = data.pairs[data.pairs.part == TEST]
    pairs = pairs[has_vectors[pairs.winner] & has_vectors[pairs.loser]]
    model = TrainedRanker.load(first)
    expected = compare_models(model_scores(model, other_data), model_scores(model, data), pairs)
    assert decision.comparisons[0] == expected
    # The model `first` was trained on vectors of the lab's encoder. The model `other` is a copy of `first`, but its
    # vectors come from the encoder `another` and have the opposite signs. So `other` ranks badly.
    assert decision.comparisons[0].difference > 0.1
    assert decision.comparisons[0].channels == 7
    assert "each model with its own encoders" in decision.reason


def test_a_model_that_fails_a_check_is_served_neither_automatically_nor_by_hand(
    scored_lab: Lab, publish: Publish
) -> None:
    good = publish(0.5)
    promote_newest(scored_lab)
    dead = publish(0.1, dead=True)
    with pytest.raises(LabError, match="is not promoted: as its info says"):
        promote_newest(scored_lab)
    with pytest.raises(LabError, match="is not promoted: as its info says"):
        promote_by_hand(scored_lab, dead)
    assert scored_lab.releases.serving.current_id(MODEL, ALL) == good.release_id


def test_only_pairs_that_neither_model_has_seen_are_compared(
    scored_lab: Lab, publish: Publish, newest_pairs: Dataset
) -> None:
    test = newest_pairs.pairs[newest_pairs.pairs.part == TEST]
    by_channel = newest_pairs.videos.groupby("channel_id").video_id.agg(list)
    champion = publish(0.5, seen=by_channel["c0"])
    challenger = publish(0.5, seen=by_channel["c1"], seed=2)
    package = decide(scored_lab, challenger, champion).comparisons[0]
    assert (package.channels, package.pairs) == (6, int((~test.channel_id.isin(["c0", "c1"])).sum()))

    unrecorded = publish(0.5, seed=3)
    decision = decide(scored_lab, unrecorded, champion)
    assert decision.comparisons[0].channels == 7
    assert f"{unrecorded.release_id} does not record its training videos" in decision.reason

    everything = publish(0.1, seen=newest_pairs.videos.video_id.tolist(), seed=4)
    decision = decide(scored_lab, everything, champion)
    assert (decision.promoted, decision.comparisons) == (False, ())
    assert "only 0 held-out pairs" in decision.reason


def test_with_no_unseen_pair_a_champion_of_other_encoders_stays(
    scored_lab: Lab, publish: Publish, newest_pairs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = publish(1.0, image_encoder="another", image_encoder_name="onnx:another")
    challenger = publish(0.1, seen=newest_pairs.videos.video_id.tolist())
    monkeypatch.setattr(comparison, "scores_of", lambda *given: pytest.fail("scored with vectors of another encoder"))
    decision = decide(scored_lab, challenger, champion)
    assert (decision.promoted, decision.comparisons) == (False, ())
    assert "only 0 held-out pairs were seen by neither" in decision.reason
