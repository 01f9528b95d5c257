"""Promises of judging a model on another catalogue: that very model, on what it has not seen, adapted on the past only."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_catalogue import FOOD, RED, plant
from sqlalchemy import select, update

from thumblab_core.database.tables import videos
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints, seen_by, seen_by_encoder
from thumblab_pipelines.evaluation.on_catalogue import (
    UNADAPTED,
    CatalogueEvaluation,
    channel_names,
    encoding_of,
    evaluate_on_catalogue,
    mirror_catalogue,
    named_model,
)
from thumblab_pipelines.evaluation.questions import ADAPTED, Evaluation
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import build
from thumblab_pipelines.models.build import build_model
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.videos.names import channel_id_of

HOME = {f"home {n}": RED for n in range(6)}
ELSEWHERE = {"like home": RED, "like home too": RED, "of its own": FOOD}


@pytest.fixture(scope="module")
def home(open_lab: Callable[..., Lab], drawn: Any, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose model was trained where red wins, and is served."""
    lab, folder = open_lab(), tmp_path_factory.mktemp("home")
    plant(folder, drawn, HOME, 30)
    import_catalogue(lab, folder)
    embed(lab, "tech")
    build_pairs(lab)
    lab.releases.serving.promote(build_model(lab, TrainConfig(epochs=2)).release)
    return lab


@pytest.fixture(scope="module")
def model(home: Lab) -> Release:
    return named_model(home, "champion")


@pytest.fixture(scope="module")
def elsewhere(open_lab: Callable[..., Lab], drawn: Any, home: Lab, model: Release, tmp_path_factory: Any) -> Lab:
    lab, folder = open_lab(**encoding_of(home, model)), tmp_path_factory.mktemp("elsewhere")
    plant(folder, drawn, ELSEWHERE, 90, seed=1)
    import_catalogue(lab, folder)
    return lab


@pytest.fixture(scope="module")
def judged(home: Lab, model: Release, elsewhere: Lab) -> CatalogueEvaluation:
    return evaluate_on_catalogue(home, model, elsewhere, share=0.8)


def auc(judged: CatalogueEvaluation, split: str, slice_: str) -> Evaluation:
    found = [e for e in judged.evaluations if (e.split, e.slice, e.metric) == (split, slice_, "auc")]
    assert len(found) == 1
    assert found[0].value is not None
    return found[0]


def of(channel: str) -> str:
    return f"channel:{channel_id_of(channel)}"


def value(judged: CatalogueEvaluation, split: str, slice_: str) -> float:
    return auc(judged, split, slice_).value or 0.0


def test_what_was_learnt_in_one_lab_holds_on_a_catalogue_with_the_same_taste(
    home: Lab, model: Release, elsewhere: Lab
) -> None:
    found = evaluate_on_catalogue(home, model, elsewhere)
    assert value(found, UNADAPTED, of("like home")) > 0.65
    assert 0.4 < value(found, UNADAPTED, of("of its own")) < 0.6
    assert {e.split for e in found.evaluations} == {UNADAPTED}
    everything = auc(found, UNADAPTED, "all")
    assert everything.pairs == sum(found.pairs_release.info["pairs"].values()) + _mixed(found.pairs_release)
    assert everything.low is not None
    assert everything.high is not None
    assert everything.low <= value(found, UNADAPTED, "all") <= everything.high
    assert (found.seen, found.channels_adapted) == ({"videos": 0, "pairs": 0}, 0)


def _mixed(pairs: Release) -> int:
    return int((pd.read_parquet(pairs.path / "pairs.parquet").part == "mixed").sum())


def test_adapting_finds_a_taste_that_is_its_own_and_spoils_none_that_is_not(judged: CatalogueEvaluation) -> None:
    assert judged.channels_adapted == len(ELSEWHERE)
    before, after = (value(judged, split, of("of its own")) for split in (UNADAPTED, ADAPTED))
    assert after > max(0.65, before + 0.1)
    assert value(judged, ADAPTED, of("like home")) > value(judged, UNADAPTED, of("like home")) - 0.1


def test_adapted_and_not_are_asked_of_the_same_pairs_which_are_of_the_last_fifth_alone(
    judged: CatalogueEvaluation,
) -> None:
    for slice_ in ("all", "2x", of("of its own")):
        assert auc(judged, UNADAPTED, slice_).pairs == auc(judged, ADAPTED, slice_).pairs
    assert auc(judged, ADAPTED, of("like home")).pairs <= 18 * 17 // 2


def test_nothing_of_what_is_asked_is_used_to_adapt(
    home: Lab, model: Release, elsewhere: Lab, judged: CatalogueEvaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the views of the last fifth turned into noise, every score stays: the same pairs get the same answers."""
    from thumblab_pipelines.evaluation import on_catalogue

    heard: list[np.ndarray] = []
    figures = on_catalogue._Answers._figures
    load = on_catalogue.load_dataset

    def listening(self: Any, split: str, scores: Any, slope: float) -> Any:
        heard.append(scores)
        return figures(self, split, scores, slope)

    def spoilt(lab: Lab, release: Release) -> Any:
        data = load(lab, release)
        late = ~on_catalogue._first(data.videos, 0.8)
        noise = np.random.default_rng(0).normal(0, 9, len(late))
        return dataclasses.replace(data, videos=data.videos.assign(target=np.where(late, noise, data.videos.target)))

    monkeypatch.setattr(on_catalogue._Answers, "_figures", listening)
    evaluate_on_catalogue(home, model, elsewhere, 0.8)
    monkeypatch.setattr(on_catalogue, "load_dataset", spoilt)
    evaluate_on_catalogue(home, model, elsewhere, 0.8)
    before, after = heard[1], heard[3]
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(heard[0], heard[1])


def test_videos_that_the_model_was_trained_on_are_not_asked_and_are_counted(
    home: Lab, model: Release, open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    """The lab's own catalogue, given to it once more as somebody else's."""
    lab = open_lab(**encoding_of(home, model))
    ids = plant(tmp_path, drawn, HOME, 30)
    import_catalogue(lab, tmp_path)
    found = evaluate_on_catalogue(home, model, lab)
    assert found.seen is not None
    known = seen_by(model, ids)
    assert known is not None
    assert found.seen["videos"] == known.sum() > 100
    test = found.pairs_release.info["pairs"]["test"]
    assert auc(found, UNADAPTED, "all").pairs == test
    assert found.seen["pairs"] > test

    def without(folder: Path) -> None:
        for name in model.files:
            if name != SEEN:
                (folder / name).write_bytes((model.path / name).read_bytes())

    silent = home.releases.publish(MODEL, ALL, without, model.info)
    told = evaluate_on_catalogue(home, silent, lab)
    assert told.seen is None
    assert auc(told, UNADAPTED, "all").pairs > test
    home.releases.remove(silent)


@pytest.mark.parametrize("precision", ["", "@bfloat16", "@20261121T120000000000Z-0123abcd"])
def test_what_a_fine_tuned_encoder_was_trained_on_counts_as_seen(tmp_path: Path, precision: str) -> None:
    folder, other = tmp_path / "me@here", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
        (place / "weights.safetensors").touch()
    np.save(folder / SEEN, fingerprints(["one", "two"]))
    seen = seen_by_encoder(f"open_clip:ViT-L-14/{folder / 'weights.safetensors'}{precision}")
    assert seen.tolist() == fingerprints(["two", "one"]).tolist()
    unseen = f"open_clip:ViT-L-14/{other / 'weights.safetensors'}", f"onnx:{folder / 'weights.safetensors'}"
    for name in ("builtin", "", "open_clip:ViT-L-14/openai", f"open_clip:ViT-L-14/{folder / 'gone.pt'}", *unseen):
        assert len(seen_by_encoder(name + precision)) == 0


def test_a_model_release_says_what_its_encoder_has_seen(
    home: Lab, model: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "seen_by_encoder", lambda name: fingerprints([f"{name} saw me"]))
    built = build_model(home, TrainConfig(epochs=1)).release
    assert seen_by(model, ["builtin saw me"]) == [False]
    assert seen_by(built, ["builtin saw me"]) == [True]
    home.releases.remove(built)


def test_a_lab_that_holds_more_than_catalogues_is_never_made_to_mirror_one(
    open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    lab = open_lab()
    plant(tmp_path, drawn, {"of the library": RED}, 6)
    import_catalogue(lab, tmp_path)
    with lab.engine.begin() as connection:
        one = connection.scalars(select(videos.c.video_id).limit(1)).one()
        connection.execute(update(videos).where(videos.c.video_id == one).values(source="youtube"))
    csv = tmp_path / "videos.csv"
    csv.write_text("".join(csv.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(LabError, match="videos that are of no catalogue"):
        mirror_catalogue(lab, tmp_path)
    with lab.engine.connect() as connection:
        assert len(connection.scalars(select(videos.c.video_id)).all()) == 6


def test_a_catalogue_that_the_model_knows_altogether_is_refused_in_a_sentence(
    home: Lab, model: Release, elsewhere: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.evaluation import on_catalogue

    monkeypatch.setattr(on_catalogue, "seen_by", lambda release, ids: np.ones(len(ids), bool))
    with pytest.raises(LabError, match=r"trained on a video of each of the \d+ pairs"):
        evaluate_on_catalogue(home, model, elsewhere)


def test_a_catalogue_of_which_nothing_can_be_used_says_what_was_left_out(
    home: Lab, model: Release, open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    lab = open_lab(**encoding_of(home, model))
    plant(tmp_path, drawn, {"few": (-40.0, -40.0, -40.0, 0.0)}, 4)
    import_catalogue(lab, tmp_path)
    with pytest.raises(LabError, match=r"make no pair to judge by"):
        evaluate_on_catalogue(home, model, lab, 0.8)


def test_judging_leaves_the_lab_of_the_model_as_it_was(home: Lab, judged: CatalogueEvaluation) -> None:
    assert len(home.releases.all(PAIRS, ALL)) == 1
    assert not any(name in ELSEWHERE for name in channel_names(home).values())


def test_names_are_those_of_the_catalogue(elsewhere: Lab) -> None:
    assert channel_names(elsewhere) == {channel_id_of(name): name for name in ELSEWHERE}


def test_a_model_that_is_not_there_is_told_which_are(home: Lab, model: Release, open_lab: Callable[..., Lab]) -> None:
    assert named_model(home, model.release_id) == model
    with pytest.raises(LabError, match=f"no model release ../x; there are {model.release_id}"):
        named_model(home, "../x")
    with pytest.raises(LabError, match="no model is served yet"):
        named_model(open_lab(), "champion")


def test_vectors_of_other_encoders_are_refused(home: Lab, model: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoding_of(home, model)["image_encoder"] == "builtin"
    for change, said in (
        ({"image_encoder": "another"}, "trained on pictures by another, and builtin is"),
        ({"title_encoder": "another"}, "trained on titles by another, and THUMBLAB_TITLE_ENCODER is"),
        ({"image_encoder_name": None}, "does not say how its pictures were encoded"),
    ):
        with pytest.raises(LabError, match=said):
            encoding_of(home, dataclasses.replace(model, info=model.info | change))
    assert model.info["image_encoder"] == BuiltinEncoder().fingerprint
