"""Tests of evaluating a trained model on the videos of a catalogue.

The model is evaluated only on videos on which it was not trained. A channel's adapter is fitted only to videos that
were published before the evaluated videos.
"""

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
from thumblab_pipelines.dataset.video_fingerprints import (
    FINGERPRINTS_FILE,
    encoder_fingerprints,
    fingerprints,
    was_trained_on,
)
from thumblab_pipelines.evaluation.figures import ADAPTED, Evaluation
from thumblab_pipelines.evaluation.on_catalogue import (
    UNADAPTED,
    CatalogueEvaluation,
    channel_names,
    encoding_of,
    evaluate_on_catalogue,
    mirror_catalogue,
    named_model,
)
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
    """A lab that serves a model. The model was trained on channels where red thumbnails win."""
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
def evaluated(home: Lab, model: Release, elsewhere: Lab) -> CatalogueEvaluation:
    return evaluate_on_catalogue(home, model, elsewhere, share=0.8)


def auc(evaluated: CatalogueEvaluation, split: str, slice_: str) -> Evaluation:
    (figure,) = [e for e in evaluated.evaluations if (e.split, e.slice, e.metric) == (split, slice_, "auc")]
    assert figure.value is not None
    return figure


def slice_of(channel: str) -> str:
    return f"channel:{channel_id_of(channel)}"


def value(evaluated: CatalogueEvaluation, split: str, slice_: str) -> float:
    return auc(evaluated, split, slice_).value or 0.0


@pytest.mark.slow
def test_the_model_also_works_on_channels_whose_viewers_share_a_taste(
    home: Lab, model: Release, elsewhere: Lab
) -> None:
    evaluated = evaluate_on_catalogue(home, model, elsewhere)
    assert value(evaluated, UNADAPTED, slice_of("like home")) > 0.65
    assert 0.4 < value(evaluated, UNADAPTED, slice_of("of its own")) < 0.6
    assert {e.split for e in evaluated.evaluations} == {UNADAPTED}
    everything = auc(evaluated, UNADAPTED, "all")
    assert everything.pairs == sum(evaluated.pairs_release.info["pairs"].values()) + mixed_pairs(
        evaluated.pairs_release
    )
    assert everything.low is not None
    assert everything.high is not None
    assert everything.low <= value(evaluated, UNADAPTED, "all") <= everything.high
    assert (evaluated.trained_on, evaluated.channels_adapted) == ({"videos": 0, "pairs": 0}, 0)


def mixed_pairs(pairs: Release) -> int:
    return int((pd.read_parquet(pairs.path / "pairs.parquet").part == "mixed").sum())


def test_adapting_helps_a_channel_of_another_taste_and_does_not_harm_a_channel_of_the_same_taste(
    evaluated: CatalogueEvaluation,
) -> None:
    assert evaluated.channels_adapted == len(ELSEWHERE)
    before, after = (value(evaluated, split, slice_of("of its own")) for split in (UNADAPTED, ADAPTED))
    assert after > max(0.65, before + 0.1)
    assert value(evaluated, ADAPTED, slice_of("like home")) > value(evaluated, UNADAPTED, slice_of("like home")) - 0.1


def test_both_splits_are_evaluated_on_the_same_pairs_of_the_last_fifth(
    evaluated: CatalogueEvaluation,
) -> None:
    for slice_ in ("all", "2x", slice_of("of its own")):
        assert auc(evaluated, UNADAPTED, slice_).pairs == auc(evaluated, ADAPTED, slice_).pairs
    assert auc(evaluated, ADAPTED, slice_of("like home")).pairs <= 18 * 17 // 2


def test_the_views_of_evaluated_videos_are_not_used_to_adapt(
    home: Lab, model: Release, elsewhere: Lab, evaluated: CatalogueEvaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replace the views of the evaluated videos by noise. No score that uses a channel adapter may change.

    The evaluated videos are the newest 20 % of each channel's videos.
    """
    from thumblab_pipelines.evaluation import on_catalogue

    all_scores: list[np.ndarray] = []
    figures = on_catalogue._ScoredCatalogue._figures
    load = on_catalogue.load_dataset

    def recording(self: Any, split: str, scores: Any, slope: float) -> Any:
        all_scores.append(scores)
        return figures(self, split, scores, slope)

    def with_noise(lab: Lab, release: Release) -> Any:
        data = load(lab, release)
        late = ~on_catalogue._first(data.videos, 0.8)
        noise = np.random.default_rng(0).normal(0, 9, len(late))
        return dataclasses.replace(data, videos=data.videos.assign(target=np.where(late, noise, data.videos.target)))

    monkeypatch.setattr(on_catalogue._ScoredCatalogue, "_figures", recording)
    evaluate_on_catalogue(home, model, elsewhere, 0.8)
    monkeypatch.setattr(on_catalogue, "load_dataset", with_noise)
    evaluate_on_catalogue(home, model, elsewhere, 0.8)
    before, after = all_scores[1], all_scores[3]
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(all_scores[0], all_scores[1])


@pytest.mark.slow
def test_pairs_of_videos_that_the_model_was_trained_on_are_left_out_and_counted(
    home: Lab, model: Release, open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    """Evaluate the model on the catalogue that it was trained on."""
    lab = open_lab(**encoding_of(home, model))
    ids = plant(tmp_path, drawn, HOME, 30)
    import_catalogue(lab, tmp_path)
    evaluated = evaluate_on_catalogue(home, model, lab)
    assert evaluated.trained_on is not None
    trained_on = was_trained_on(model, ids)
    assert trained_on is not None
    assert evaluated.trained_on["videos"] == trained_on.sum() > 100
    test = evaluated.pairs_release.info["pairs"]["test"]
    assert auc(evaluated, UNADAPTED, "all").pairs == test
    assert evaluated.trained_on["pairs"] > test

    def without_fingerprints(folder: Path) -> None:
        for name in model.files:
            if name != FINGERPRINTS_FILE:
                (folder / name).write_bytes((model.path / name).read_bytes())

    unrecorded = home.releases.publish(MODEL, ALL, without_fingerprints, model.info)
    of_unrecorded = evaluate_on_catalogue(home, unrecorded, lab)
    assert of_unrecorded.trained_on is None
    assert auc(of_unrecorded, UNADAPTED, "all").pairs > test
    home.releases.remove(unrecorded)


@pytest.mark.parametrize("precision", ["", "@bfloat16", "@20261121T120000000000Z-0123abcd"])
def test_the_training_videos_of_a_fine_tuned_encoder_are_read_from_beside_its_weights(
    tmp_path: Path, precision: str
) -> None:
    folder, other = tmp_path / "tuned@here", tmp_path / "other"
    for encoder_folder in (folder, other):
        encoder_folder.mkdir()
        (encoder_folder / "weights.safetensors").touch()
    np.save(folder / FINGERPRINTS_FILE, fingerprints(["one", "two"]))
    trained_on = encoder_fingerprints(f"open_clip:ViT-L-14/{folder / 'weights.safetensors'}{precision}")
    assert trained_on.tolist() == fingerprints(["two", "one"]).tolist()
    others = f"open_clip:ViT-L-14/{other / 'weights.safetensors'}", f"onnx:{folder / 'weights.safetensors'}"
    for name in ("builtin", "", "open_clip:ViT-L-14/openai", f"open_clip:ViT-L-14/{folder / 'gone.pt'}", *others):
        assert len(encoder_fingerprints(name + precision)) == 0


def test_a_model_release_records_the_training_videos_of_its_encoder(
    home: Lab, model: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "encoder_fingerprints", lambda name: fingerprints([f"video of {name}"]))
    built = build_model(home, TrainConfig(epochs=1)).release
    assert was_trained_on(model, ["video of builtin"]) == [False]
    assert was_trained_on(built, ["video of builtin"]) == [True]
    home.releases.remove(built)


def test_a_lab_with_videos_from_another_source_refuses_to_mirror_a_catalogue(
    open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    lab = open_lab()
    plant(tmp_path, drawn, {"of the library": RED}, 6)
    import_catalogue(lab, tmp_path)
    with lab.engine.begin() as connection:
        video_id = connection.scalars(select(videos.c.video_id).limit(1)).one()
        connection.execute(update(videos).where(videos.c.video_id == video_id).values(source="youtube"))
    csv = tmp_path / "videos.csv"
    csv.write_text("".join(csv.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(LabError, match="has videos from another source"):
        mirror_catalogue(lab, tmp_path)
    with lab.engine.connect() as connection:
        assert len(connection.scalars(select(videos.c.video_id)).all()) == 6


def test_a_catalogue_that_the_model_was_wholly_trained_on_is_an_error(
    home: Lab, model: Release, elsewhere: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.evaluation import on_catalogue

    monkeypatch.setattr(on_catalogue, "was_trained_on", lambda release, ids: np.ones(len(ids), bool))
    with pytest.raises(LabError, match=r"trained on a video of each of the \d+ pairs"):
        evaluate_on_catalogue(home, model, elsewhere)


def test_a_catalogue_without_usable_pairs_is_an_error_that_names_the_exclusions(
    home: Lab, model: Release, open_lab: Callable[..., Lab], drawn: Any, tmp_path: Path
) -> None:
    lab = open_lab(**encoding_of(home, model))
    plant(tmp_path, drawn, {"few": (-40.0, -40.0, -40.0, 0.0)}, 4)
    import_catalogue(lab, tmp_path)
    with pytest.raises(LabError, match=r"make no pair to evaluate on; left out: \d+ under 1000 views"):
        evaluate_on_catalogue(home, model, lab, 0.8)


def test_evaluating_does_not_change_the_lab_of_the_model(home: Lab, evaluated: CatalogueEvaluation) -> None:
    assert len(home.releases.all(PAIRS, ALL)) == 1
    assert not any(name in ELSEWHERE for name in channel_names(home).values())


def test_channel_names_are_the_titles_in_the_catalogue(elsewhere: Lab) -> None:
    assert channel_names(elsewhere) == {channel_id_of(name): name for name in ELSEWHERE}


def test_an_unknown_model_is_an_error_that_lists_the_existing_ones(
    home: Lab, model: Release, open_lab: Callable[..., Lab]
) -> None:
    assert named_model(home, model.release_id) == model
    with pytest.raises(LabError, match=f"no model release ../x; the lab has {model.release_id}"):
        named_model(home, "../x")
    with pytest.raises(LabError, match="no model is served yet"):
        named_model(open_lab(), "champion")


def test_a_model_of_other_encoders_is_refused(home: Lab, model: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoding_of(home, model)["image_encoder"] == "builtin"
    for change, message in (
        ({"image_encoder": "another"}, "trained on pictures encoded by another, but the encoder builtin is now"),
        ({"title_encoder": "another"}, "trained on titles encoded by another, but THUMBLAB_TITLE_ENCODER is"),
        ({"image_encoder_name": None}, "does not record how its pictures were encoded"),
    ):
        with pytest.raises(LabError, match=message):
            encoding_of(home, dataclasses.replace(model, info=model.info | change))
    assert model.info["image_encoder"] == BuiltinEncoder().fingerprint
