"""Promises of the promotion: what is surely worse is kept out, what is as good gets in, and a person's choice stays."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from planted_catalogue import RED, plant
from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dataset.load import Dataset, in_spaces_of, load_dataset
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints, seen_by
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.defs import sensors
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import promotion
from thumblab_pipelines.models.build import build_model
from thumblab_pipelines.models.champion import serve_newest, standing
from thumblab_pipelines.models.promotion import (
    LEAST_PAIRS,
    Comparison,
    check_served_model,
    compare,
    decide,
    model_scores,
    promote_by_hand,
    promote_newest,
)
from thumblab_pipelines.models.registry import Champion, MlflowError, ModelRegistry, Version
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.videos.names import channel_id_of


def planted(share: float, other: float, channels: int = 40, pairs: int = 200, seed: int = 0) -> Comparison:
    """The comparison of two models that order these shares of the pairs right, in truth and within each channel."""
    random = np.random.default_rng(seed)
    n = channels * pairs
    rows = np.arange(2 * n)
    winner, loser = rows[:n], rows[n:]

    def scores(right: float) -> np.ndarray:
        found = np.zeros(2 * n)
        found[winner] = random.random(n) < right
        found[loser] = 0.5
        return found

    table = pd.DataFrame(
        {"winner": winner, "loser": loser, "channel_id": np.repeat(np.arange(channels).astype(str), pairs)}
    )
    found = compare(scores(share), scores(other), table)
    assert found is not None
    return found


def test_a_model_that_is_better_worse_or_the_same_is_told_so() -> None:
    better, worse, same = planted(0.65, 0.70), planted(0.70, 0.65), planted(0.65, 0.65)
    assert better.not_worse
    assert better.low > 0
    assert not worse.not_worse
    assert worse.high < 0
    assert same.low < 0 < same.high
    assert (better.pairs, better.channels) == (8_000, 40)
    assert "8,000 held-out pairs of 40 channels" in better.explanation


def test_with_many_pairs_a_loss_that_is_surely_tiny_is_tolerated_and_with_few_it_is_not() -> None:
    found = [planted(0.65, 0.648, channels=400, pairs=400, seed=seed) for seed in range(20)]
    assert sum(one.not_worse for one in found) >= 18
    few = [planted(0.65, 0.60, channels=8, pairs=40, seed=seed) for seed in range(40)]
    assert sum(one.not_worse for one in few) <= 8


def test_of_models_that_are_surely_worse_hardly_any_gets_in() -> None:
    assert sum(planted(0.68, 0.66, seed=seed).not_worse for seed in range(40)) <= 2


def test_the_bounds_hold_the_truth_as_often_as_they_say() -> None:
    found = [planted(0.65, 0.66, channels=25, pairs=40, seed=seed) for seed in range(100)]
    assert sum(one.low <= 0.01 for one in found) >= 90  # 95 expected
    assert sum(one.high >= 0.01 for one in found) >= 90


def test_the_pairs_are_compared_one_by_one_so_that_what_both_find_hard_blurs_nothing() -> None:
    random = np.random.default_rng(1)
    winner, loser = np.arange(4_000), np.arange(4_000, 8_000)
    table = pd.DataFrame({"winner": winner, "loser": loser, "channel_id": np.repeat(np.arange(40).astype(str), 100)})
    old = random.standard_normal(8_000)
    found = compare(old, old + 1e-9 * random.standard_normal(8_000), table)
    assert found is not None
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_of_one_channel_the_videos_are_drawn_so_that_a_bound_is_one() -> None:
    random = np.random.default_rng(0)
    winner, loser = np.arange(100), np.arange(100, 200)
    table = pd.DataFrame({"winner": winner, "loser": loser, "channel_id": "c"})
    one, other = random.standard_normal((2, 200))
    found = compare(one, other, table)
    assert found is not None
    assert found.low < found.difference < found.high
    # A loss within what is tolerated, on so few pairs: not surely within it.
    same = np.where(np.arange(200) < 100, 1.0, 0.0)
    worse = same.copy()
    worse[0] = -1.0
    lost = compare(same, worse, table)
    assert lost is not None
    assert lost.difference == pytest.approx(-0.01)
    assert not lost.not_worse


def test_too_few_pairs_say_nothing() -> None:
    table = pd.DataFrame({"winner": [0], "loser": [1], "channel_id": ["c"]})
    assert compare(np.arange(2.0), np.arange(2.0), pd.concat([table] * (LEAST_PAIRS - 1))) is None
    assert compare(np.arange(2.0), np.arange(2.0), pd.concat([table] * LEAST_PAIRS)) is not None


def test_a_release_knows_which_videos_it_has_seen(lab: Lab) -> None:
    def write(folder: Path) -> None:
        np.save(folder / SEEN, fingerprints(["b", "a", "b"]))

    seen = fingerprints(["b", "a", "b"])
    assert (seen.dtype, len(seen), bool(np.all(seen[:-1] < seen[1:]))) == (np.uint64, 2, True)
    release = lab.releases.publish(MODEL, ALL, write, {})
    found = seen_by(release, ["c", "a", "b", "a"])
    assert found is not None
    assert found.tolist() == [False, True, True, True]
    assert seen_by(lab.releases.publish(MODEL, ALL, lambda folder: (folder / "x").touch(), {}), ["a"]) is None


@pytest.fixture
def lab(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose model releases hold their own scores, and are fit unless they say otherwise."""
    monkeypatch.setattr(promotion, "_loaded", lambda release: None if release.info.get("broken") else release)
    monkeypatch.setattr(promotion, "model_scores", lambda release, data: np.load(release.path / "scores.npy"))
    monkeypatch.setattr(
        promotion,
        "check_model",
        lambda lab, release: [CheckResult("alive", not release.info.get("dead"), "as it says")],
    )
    return open_lab()


@pytest.fixture
def data(lab: Lab, plant: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The newest pairs of the lab."""
    found = plant(channels=8, videos=60)
    release = lab.releases.publish(PAIRS, ALL, lambda folder: (folder / "x").touch(), found.release.info)
    found = dataclasses.replace(found, release=release)
    monkeypatch.setattr(promotion, "load_dataset", lambda lab, release: found)
    return found


Publish = Callable[..., Release]


@pytest.fixture
def publish(lab: Lab, data: Dataset) -> Publish:
    """Publishes a model whose scores are the truth and some noise."""

    def one(noise: float, seen: list[str] | None = None, seed: int = 0, **info: object) -> Release:
        truth = data.videos.target.to_numpy(float)

        def write(folder: Path) -> None:
            np.save(folder / "scores.npy", truth + noise * np.random.default_rng(seed).standard_normal(len(truth)))
            if seen is not None:
                np.save(folder / SEEN, fingerprints(seen))

        said = {"image_encoder": "i", "title_encoder": "t", "noise": noise, "seed": seed, **info}
        return lab.releases.publish(MODEL, ALL, write, json.loads(json.dumps(said)))

    return one


def test_the_first_model_is_served_and_a_worse_one_is_not_promoted_over_it(lab: Lab, publish: Publish) -> None:
    good = publish(0.5)
    assert promote_newest(lab)[1] == good
    bad = publish(30.0)
    challenger, served, decision = promote_newest(lab)
    assert (challenger, served, decision.promoted) == (bad, good, False)
    assert lab.releases.serving.current_id(MODEL, ALL) == good.release_id
    pointer, promoted = check_served_model(lab, served, decision)
    assert (pointer.passed, promoted.passed, promoted.advisory) == (True, False, True)
    assert promoted.explanation.startswith(f"worse than {good.release_id}: AUC 0.")

    better = publish(0.1)
    assert promote_newest(lab)[:2] == (better, better)
    assert promote_newest(lab)[2].reason == "it is served already"


def test_a_model_that_served_before_does_not_come_back_by_itself(lab: Lab, publish: Publish) -> None:
    old = publish(0.5)
    promote_newest(lab)
    new = publish(0.4)
    assert promote_newest(lab)[1] == new
    promote_by_hand(lab, old)
    challenger, served, decision = promote_newest(lab)
    assert (challenger, served, decision.promoted) == (new, old, False)
    assert "until a person chose" in decision.reason
    # A new one that is worse than the person's choice does not take its place, one that is better does.
    publish(30.0)
    assert promote_newest(lab)[1] == old
    newest = publish(0.1)
    assert promote_newest(lab)[1] == newest


def test_a_choice_that_is_about_to_be_served_is_what_the_newest_must_match(lab: Lab, publish: Publish) -> None:
    weak, strong = publish(3.0, seed=1), publish(0.1)
    promote_by_hand(lab, weak)
    middling = publish(1.0)
    assert not promote_newest(lab, chosen=strong)[2].promoted
    assert lab.releases.serving.current_id(MODEL, ALL) == weak.release_id
    assert promote_newest(lab)[1] == middling


@pytest.mark.parametrize(
    ("champion", "why"),
    [
        ({"broken": True}, "cannot be loaded"),
        ({"image_encoder": "another"}, "not to be had any more"),  # the same name with other weights
        ({"title_encoder": "another", "image_encoder_name": "onnx:another"}, "not to be had any more"),
        ({"image_encoder": "another", "image_encoder_name": "onnx:another"}, "only 0 held-out pairs have vectors"),
    ],
)
def test_a_champion_that_cannot_be_compared_gives_way_and_that_is_said(
    lab: Lab, publish: Publish, champion: dict[str, object], why: str
) -> None:
    lab.releases.serving.promote(publish(0.1, **champion))
    new = publish(1.0)
    _, served, decision = promote_newest(lab)
    assert (served, decision.promoted, decision.comparison) == (new, True, None)
    assert why in decision.reason


def test_models_of_two_encoders_are_compared_each_with_its_own_on_what_both_have_seen(
    open_lab: Callable[..., Lab], drawn: Callable[..., bytes], tmp_path: Path
) -> None:
    """The other encoder turns every picture's vector round, and has not seen one channel."""
    lab = open_lab()
    plant(tmp_path, drawn, {f"channel {n}": RED for n in range(8)}, 40)
    import_catalogue(lab, tmp_path)
    embed(lab, "tech")
    build_pairs(lab)
    first = build_model(lab, TrainConfig(epochs=1)).release
    ours = str(first.info["image_encoder"])
    with lab.engine.begin() as connection:
        unseen = text("SELECT video_id FROM videos WHERE channel_id = :channel")
        gone = set(connection.scalars(unseen, {"channel": channel_id_of("channel 0")}))
        copied = text(
            "INSERT INTO embeddings (video_id, encoder, source_digest, vector) "
            "SELECT video_id, 'another', source_digest, vector - vector - vector FROM embeddings "
            "WHERE encoder = :ours AND NOT video_id = ANY(:gone)"
        )
        connection.execute(copied, {"ours": ours, "gone": list(gone)})
        # A picture that was swapped since: what the other encoder saw is another picture.
        swapped = connection.scalar(text("SELECT min(video_id) FROM embeddings WHERE encoder = 'another'"))
        stale = text("UPDATE embeddings SET source_digest = 'old' WHERE encoder = 'another' AND video_id = :swapped")
        connection.execute(stale, {"swapped": swapped})

    def copy(folder: Path) -> None:
        shutil.copytree(first.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))

    other = lab.releases.publish(
        MODEL, ALL, copy, first.info | {"image_encoder": "another", "image_encoder_name": "onnx:another"}
    )
    data = load_dataset(lab, lab.releases.get(PAIRS, ALL, str(first.info["pairs_release"])))
    theirs, there = in_spaces_of(lab, data, other)
    assert set(data.videos.video_id[~there]) == (gone | {swapped}) & set(data.videos.video_id)
    np.testing.assert_array_equal(theirs.images[there], -data.images[there])
    assert not theirs.images[~there].any()

    decision = decide(lab, first, other)
    pairs = data.pairs[data.pairs.part == TEST]
    pairs = pairs[there[pairs.winner] & there[pairs.loser]]
    model = TrainedRanker.load(first)
    assert decision.comparison == compare(model_scores(model, theirs), model_scores(model, data), pairs)
    assert decision.comparison is not None
    assert decision.comparison.difference > 0.1  # it was trained on the others
    assert decision.comparison.channels == 7
    assert "each model with its own encoders" in decision.reason


def test_a_model_that_is_not_fit_is_served_neither_by_itself_nor_by_hand(lab: Lab, publish: Publish) -> None:
    good = publish(0.5)
    promote_newest(lab)
    dead = publish(0.1, dead=True)
    with pytest.raises(Exception, match="is not promoted: as it says"):
        promote_newest(lab)
    with pytest.raises(Exception, match="is not promoted: as it says"):
        promote_by_hand(lab, dead)
    assert lab.releases.serving.current_id(MODEL, ALL) == good.release_id


def test_only_pairs_that_neither_has_seen_are_asked(lab: Lab, publish: Publish, data: Dataset) -> None:
    test = data.pairs[data.pairs.part == TEST]
    by_channel = data.videos.groupby("channel_id").video_id.agg(list)
    champion = publish(0.5, seen=by_channel["c0"])
    challenger = publish(0.5, seen=by_channel["c1"], seed=2)
    found = decide(lab, challenger, champion).comparison
    assert found is not None
    assert (found.channels, found.pairs) == (6, int((~test.channel_id.isin(["c0", "c1"])).sum()))

    silent = publish(0.5, seed=3)
    decision = decide(lab, silent, champion)
    assert decision.comparison is not None
    assert decision.comparison.channels == 7
    assert f"{silent.release_id} does not say what it was trained on" in decision.reason

    everything = publish(0.1, seen=data.videos.video_id.tolist(), seed=4)
    decision = decide(lab, everything, champion)
    assert (decision.promoted, decision.comparison) == (False, None)
    assert "only 0 held-out pairs" in decision.reason


def test_where_everything_was_seen_a_champion_of_other_encoders_is_asked_nothing_and_stays(
    lab: Lab, publish: Publish, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = publish(1.0, image_encoder="another", image_encoder_name="onnx:another")
    challenger = publish(0.1, seen=data.videos.video_id.tolist())
    monkeypatch.setattr(promotion, "model_scores", lambda model, data: pytest.fail("vectors of another encoder"))
    decision = decide(lab, challenger, champion)
    assert (decision.promoted, decision.comparison) == (False, None)
    assert "only 0 held-out pairs were seen by neither" in decision.reason


def champion(number: str, release_id: str | None, crowned: str | None) -> Champion:
    return Champion(Version(number, "run", release_id), crowned)


@pytest.mark.parametrize(
    ("alias", "by_hand", "said"),
    [
        (None, False, "no champion"),
        (champion("2", "served", "2"), False, "is served"),
        (champion("2", "served", "1"), False, "is served"),  # killed before the lab noted that it was the lab
        (champion("1", "older", "1"), False, "cut short"),  # killed between the pointer and the alias
        (champion("1", "older", None), True, "a person"),  # the lab never put it anywhere
        (champion("1", "older", "2"), True, "a person"),
        (champion("3", "newer", "2"), True, "a person"),
        (champion("4", None, "2"), True, "a person"),
    ],
)
def test_a_persons_move_is_told_from_the_labs_own_also_after_a_crash(
    alias: Champion | None, by_hand: bool, said: str
) -> None:
    found = standing(alias, "served")
    assert (found.chosen is not None) == by_hand
    assert said in found.explanation


def test_the_first_model_may_be_served_because_a_person_says_so() -> None:
    alias = champion("1", "first", None)
    assert standing(alias, None).chosen == alias.version


class Registry:
    """MLflow's model, whose alias a person has put on a version that may not be there."""

    def __init__(self, wish: Champion, error: LabError) -> None:
        self.alias, self.error, self.told = wish, error, list[str]()

    def champion(self) -> Champion:
        return self.alias

    def of_release(self, release_id: str) -> Version:
        return Version("9", "run", release_id)

    def recovered(self, *of: object) -> Release:
        raise self.error

    def crown(self, version: Version) -> None:
        self.alias = Champion(version, version.number)

    def tell(self, version: Version, said: str) -> None:
        self.told.append(said)


@pytest.mark.parametrize("away", [True, False])
def test_a_wish_that_cannot_be_had_keeps_its_alias_and_is_waited_for_where_mlflow_is_away(
    lab: Lab, publish: Publish, away: bool
) -> None:
    old = publish(0.5)
    promote_by_hand(lab, old)
    new = publish(0.1)
    wish = champion("3", "gone", "2")
    registry = Registry(wish, MlflowError("away") if away else LabError("damaged"))
    if away:
        with pytest.raises(MlflowError, match="away"):
            serve_newest(lab, registry)  # type: ignore[arg-type]
    else:
        assert serve_newest(lab, registry).decision.promoted  # type: ignore[arg-type]
    assert lab.releases.serving.current_id(MODEL, ALL) == (old if away else new).release_id
    assert registry.alias == wish


def test_a_wish_that_is_not_fit_is_not_compared_with_and_keeps_its_alias(lab: Lab, publish: Publish) -> None:
    """Nothing is served yet: a person's choice that would be refused keeps nothing else from being served."""
    dead, fit = publish(0.1, dead=True), publish(3.0)
    wish = champion("1", dead.release_id, None)

    class Knows(Registry):
        def recovered(self, *of: object) -> Release:
            return dead

    registry = Knows(wish, LabError("not raised"))
    served = serve_newest(lab, registry)  # type: ignore[arg-type]
    assert (served.release, served.decision.promoted, served.decision.comparison) == (fit, True, None)
    assert registry.alias == wish


@pytest.mark.parametrize(("code", "later"), [("INTERNAL_ERROR", True), ("RESOURCE_DOES_NOT_EXIST", False)])
def test_what_mlflow_does_not_give_now_it_may_give_later_and_what_it_has_not_it_may_not(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, code: str, later: bool
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    def refuse(**of: object) -> str:
        raise MlflowException("refused", error_code=getattr(databricks_pb2, code))

    from mlflow.protos import databricks_pb2

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuse)
    with pytest.raises(LabError, match="cannot be had from MLflow") as raised:
        ModelRegistry(None, "m").recovered(
            Version("1", "run", "20260101T000000000000Z-01234567"), lab.releases, MODEL, ALL
        )
    assert raised.value.transient is later


def test_a_persons_move_starts_one_run_which_is_tried_again_every_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 3_600.0 * 500_000
    monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr(MlflowResource, "connect", lambda self: type("Server", (), {"registry": None}))
    alias, serving = champion("1", "older", "2"), "served"
    monkeypatch.setattr(sensors, "watch", lambda lab, registry: standing(alias, serving))
    cursor: str | None = None

    def tick() -> list[dict[str, object]]:
        nonlocal cursor
        context = dg.build_sensor_context(cursor=cursor, resources={"lab": LabResource(), "mlflow": MlflowResource()})
        found = sensors.champion_moved.evaluate_tick(context)
        cursor = found.cursor
        return [dict(r.run_config["ops"]["served_model"]["config"]) for r in found.run_requests or []]

    asked = [{"release_id": "older", "by_alias": True}]
    assert [tick(), tick(), tick()] == [asked, [], []]
    now += 3_600
    assert [tick(), tick()] == [asked, []]
    # Followed; then moved on, and back again within the same hour: three moves, three runs.
    for number, release_id, crowned, was in [("2", "newer", "1", "older"), ("1", "older", "2", "newer")]:
        alias, serving = champion(number, release_id, crowned), was
        assert [tick(), tick()] == [[{"release_id": release_id, "by_alias": True}], []]
    alias = champion("1", "newer", "1")
    assert tick() == []
    assert json.loads(cursor or "") == {}
    alias = champion("9", None, "1")
    assert tick() == [], "what the lab did not register is nothing to serve"
