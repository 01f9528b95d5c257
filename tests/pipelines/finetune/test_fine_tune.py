"""Tests of fine-tuning an image encoder.

The image tower is the part of a CLIP model that encodes pictures. Fine-tuning changes only the last blocks of the tower
and the layers after these blocks. The configuration sets the number of blocks. The result can be used like any other
encoder.
"""

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sqlalchemy import delete, insert
from tiny_clip import TinyClip

from thumblab_core.database.tables import channels, thumbnails, videos
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.tower import normalised
from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageFolder
from thumblab_core.images import decode
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.dataset.load import load_dataset
from thumblab_pipelines.dataset.snapshot import read_snapshot
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, fingerprints, was_trained_on
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.finetune.fine_tune import WEIGHTS, FineTuneConfig, encoder_setting, fine_tune
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.corpus import dataset_inputs

NICHE = "tech"
CHANNELS, PER_CHANNEL = 4, 20
QUICK = FineTuneConfig(blocks=1, heads="fresh", epochs=2, pictures=16, encoder_rate=1e-3, heads_rate=3e-3)
LAST_BLOCK, ENDING = ("transformer.resblocks.1.",), ("ln_post.", "proj")


def picture(random: np.random.Generator, red: float) -> bytes:
    """Return a PNG of noise on a background. `red` is 0 for a blue background and 1 for a red background."""
    pixels = random.integers(0, 60, (90, 160, 3)) + np.array([180 * red, 60, 180 * (1 - red)])
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Coloured:
    """A lab with a release of pairs. The winner of each pair is the video whose picture is redder."""

    lab: Lab
    pairs: Release

    def with_data_in(self, folder: Path) -> Lab:
        """Return a copy of `lab` whose releases and checkpoints are in `folder`."""
        settings = self.lab.settings.model_copy(update={"data_dir": folder})
        return dataclasses.replace(self.lab, settings=settings, releases=ReleaseStore(folder / "releases"))


@pytest.fixture(scope="module")
def coloured(open_lab: Callable[..., Lab], tiny: TinyClip) -> Coloured:
    lab = open_lab(image_encoder=tiny.setting, encoder_precision="float32")
    random = np.random.default_rng(0)
    n, start = CHANNELS * PER_CHANNEL, datetime(2026, 1, 1, tzinfo=UTC)
    red = random.random(n)
    part = np.tile(np.repeat(["train", "validation", "test"], [13, 4, 3]), CHANNELS)
    table = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(n)],
            "niche": NICHE,
            "channel_id": np.repeat([f"c{i}" for i in range(CHANNELS)], PER_CHANNEL),
            "title": [f"video {i}" for i in range(n)],
            "published_at": [start + timedelta(days=i) for i in range(n)],
            "duration_s": 600 + np.arange(n),
            "sha256": [lab.images.put(picture(random, redness)) for redness in red],
            "part": part,
            "fold": np.repeat([0, 1, 2, 0], PER_CHANNEL),
            "learnt": True,
            "target": red,
        }
    )
    with lab.engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": c, "title": c} for c in table.channel_id.unique()])
        for row in table.itertuples():
            video = {"video_id": row.video_id, "niche": NICHE, "channel_id": row.channel_id, "title": row.title}
            dates = {"published_at": row.published_at, "tags": [], "source": "catalogue", "refreshed_at": start}
            connection.execute(insert(videos), [video | dates])
            thumbnail = {"video_id": row.video_id, "sha256": row.sha256, "width": 160, "height": 90}
            connection.execute(insert(thumbnails), [thumbnail | {"fetched_at": start, "checked_at": start}])
    embed(lab, NICHE)
    rows = []
    for i, j in combinations(range(n), 2):
        if table.channel_id[i] == table.channel_id[j]:
            winner, loser = (i, j) if red[i] > red[j] else (j, i)
            common_part = part[i] if part[i] == part[j] else "mixed"
            rows.append((winner, loser, table.channel_id[i], common_part, red[winner] - red[loser]))
    pairs = pd.DataFrame(rows, columns=["winner", "loser", "channel_id", "part", "margin"])

    def write(folder: Path) -> None:
        table.to_parquet(folder / "videos.parquet", index=False)
        pairs.to_parquet(folder / "pairs.parquet", index=False)
        read_snapshot(lab, table, *encoders.values())[0].save(folder)

    encoders = {
        "image_encoder": image_encoder(lab.settings).fingerprint,
        "title_encoder": title_encoder("minilm").fingerprint,
    }
    info = {**encoders, "image_encoder_name": tiny.setting, "age_exponent": 0.0, "inputs": "of the test"}
    return Coloured(lab, lab.releases.publish(PAIRS, ALL, write, info))


@pytest.fixture(scope="module")
def last_block(coloured: Coloured) -> Release:
    return fine_tune(coloured.lab, coloured.pairs, dataclasses.replace(QUICK, epochs=8))


def changed(release: Release, tiny: TinyClip) -> set[str]:
    """Return the names of the CLIP model's tensors in which fine-tuning has changed at least one number."""
    before, after = tiny.model.state_dict(), load_file(release.path / WEIGHTS)
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.slow
def test_only_the_trained_blocks_the_final_norm_and_the_projection_change(
    coloured: Coloured, last_block: Release, tiny: TinyClip
) -> None:
    assert last_block.info["blocks"] == ["transformer.resblocks.1"]
    visual = [name for name in tiny.model.state_dict() if name.startswith("visual.")]
    named = {name for name in visual if name.removeprefix("visual.").startswith(LAST_BLOCK + ENDING)}
    assert changed(last_block, tiny) == named
    assert len(named) == 12 + 3


def test_fine_tuning_learns_the_planted_signal(last_block: Release) -> None:
    history = json.loads((last_block.path / "history.json").read_text())
    losses = [epoch["pair_loss"] for epoch in history]
    # The label of a winner is smoothed to 0.925. The smallest possible loss is therefore -(0.925 ln 0.925 + 0.075 ln
    # 0.075) = 0.27. Without a signal, the loss stays near ln 2 = 0.69.
    assert losses[-1] < 0.75 * losses[0]
    assert last_block.info["validation_auc_before"] < 0.8 < last_block.info["kept"]["validation_auc"]
    assert last_block.info["kept"] == max(history, key=lambda epoch: epoch["validation_auc"])
    assert last_block.info["dropped_pairs"] == 0 < last_block.info["pairs"]


def test_the_epoch_with_the_best_validation_auc_is_published(
    coloured: Coloured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.finetune.tower_training import TowerTraining
    from thumblab_pipelines.training.checkpoints import Checkpoint, State

    # The first AUC is measured before the training. Each of the other AUCs is measured after an epoch.
    aucs, states = iter([0.5, 0.6, 0.9, 0.7]), []
    monkeypatch.setattr(TowerTraining, "validation_auc", lambda _: next(aucs))

    def save(_: Checkpoint, state: State) -> None:
        states.append({name: value.detach().clone() for name, value in state.part("tower").items()})

    monkeypatch.setattr(Checkpoint, "save", save)
    release = fine_tune(coloured.with_data_in(tmp_path), coloured.pairs, dataclasses.replace(QUICK, epochs=3))
    assert release.info["kept"]["epoch"] == 1
    weights = load_file(release.path / WEIGHTS)
    assert all(torch.equal(weights[f"visual.{name}"], value) for name, value in states[1].items())
    assert not torch.equal(states[1]["proj"], states[2]["proj"])


def test_with_all_blocks_the_whole_image_tower_changes_and_the_text_tower_does_not(
    coloured: Coloured, tiny: TinyClip
) -> None:
    release = fine_tune(coloured.lab, coloured.pairs, dataclasses.replace(QUICK, blocks="all", epochs=1))
    assert changed(release, tiny) == {name for name in tiny.model.state_dict() if name.startswith("visual.")}


def test_videos_seen_by_an_earlier_fine_tuning_count_as_seen(
    coloured: Coloured, tiny: TinyClip, tmp_path: Path
) -> None:
    seen_file = tiny.weights.parent / FINGERPRINTS_FILE
    np.save(seen_file, fingerprints(["earlier"]))
    try:
        release = fine_tune(coloured.with_data_in(tmp_path), coloured.pairs, dataclasses.replace(QUICK, epochs=1))
    finally:
        seen_file.unlink()
    seen = was_trained_on(release, ["earlier", "v0", "v19"])
    assert seen is not None
    assert seen.tolist() == [True, True, False]


def test_a_fine_tuned_encoder_loads_like_any_other_and_computes_the_trained_vectors(
    coloured: Coloured, tiny: TinyClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_lab: Callable[..., Lab]
) -> None:
    trained: list[OpenClipEncoder] = []
    save = OpenClipEncoder.save_checkpoint

    def save_and_keep(encoder: OpenClipEncoder, path: Path) -> None:
        trained.append(encoder)
        save(encoder, path)

    monkeypatch.setattr(OpenClipEncoder, "save_checkpoint", save_and_keep)
    lab = coloured.with_data_in(tmp_path)
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, accumulate=2, layer_decay=0.5))
    base = image_encoder(coloured.lab.settings)
    new = open_lab(beside=coloured.lab, image_encoder=encoder_setting(release))
    encoder = image_encoder(new.settings)
    with coloured.lab.engine.connect() as connection:
        rows = connection.execute(thumbnails.select().limit(8)).mappings().all()
    pictures = [decode(lab.images.get(row["sha256"])).pixels for row in rows]
    batch = np.stack([encoder.prepare(picture) for picture in pictures])
    with torch.no_grad():
        model = trained[0].torch_model
        expected = model.encode_image(torch.from_numpy(normalised(batch, trained[0].preprocessing)), normalize=True)
    vectors = encoder.encode_images(pictures)
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-4)
    assert (vectors * base.encode_images(pictures)).sum(axis=1).max() < 0.999
    assert encoder.fingerprint != base.fingerprint
    # Every picture gets a vector of the new encoder, as after any change of encoder.
    again = embed(new, NICHE)
    assert (again.encoder, again.images) == (encoder.fingerprint, CHANNELS * PER_CHANNEL)
    assert not (tmp_path / "fine-tuning").exists() or not list((tmp_path / "fine-tuning").iterdir())


def test_a_second_call_with_nothing_new_returns_the_existing_release(coloured: Coloured, last_block: Release) -> None:
    progress: list[Any] = []
    config = dataclasses.replace(QUICK, epochs=8)
    again = fine_tune(coloured.lab, coloured.pairs, config, lambda *step: progress.append(step))
    assert (again, progress) == (last_block, [])


@pytest.fixture(scope="module")
def uninterrupted(coloured: Coloured, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Release]:
    """A function that fine-tunes for three epochs without an interruption.

    The function trains only at the first call with each value of `blocks`. A later call with the same value returns the
    same release.
    """
    return cache(
        lambda blocks: fine_tune(
            coloured.with_data_in(tmp_path_factory.mktemp("uninterrupted")),
            coloured.pairs,
            dataclasses.replace(QUICK, epochs=3, blocks=blocks),
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "blocks"), [("keeping", 1), ("epoch 1", "all"), ("epoch 2", 1), ("epoch 3", 1), ("epoch 3", "all")]
)
def test_a_fine_tuning_interrupted_at_any_moment_ends_with_the_same_weights(
    coloured: Coloured, uninterrupted: Callable[[Any], Release], tmp_path: Path, moment: str, blocks: Any
) -> None:
    config = dataclasses.replace(QUICK, epochs=3, blocks=blocks)

    def interrupt(what: str, done: int, total: int) -> None:
        if moment in what and done == (16 if moment == "keeping" else 2):
            raise KeyboardInterrupt

    lab = coloured.with_data_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(lab, coloured.pairs, config, interrupt)
    steps: list[str] = []
    resumed = fine_tune(lab, coloured.pairs, config, lambda what, *_: steps.append(what))
    assert resumed.files == uninterrupted(blocks).files
    assert any("epoch 1" in step for step in steps) == (moment in ("keeping", "epoch 1"))


def test_stored_activations_give_the_losses_of_recomputed_ones(
    coloured: Coloured, uninterrupted: Callable[[Any], Release], tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, epochs=3, activations_gib=0.0)
    steps: list[str] = []
    recomputed = fine_tune(coloured.with_data_in(tmp_path), coloured.pairs, config, lambda what, *_: steps.append(what))
    stored_losses, recomputed_losses = (
        [epoch["pair_loss"] for epoch in json.loads((release.path / "history.json").read_text())]
        for release in (uninterrupted(1), recomputed)
    )
    assert stored_losses == pytest.approx(recomputed_losses, abs=0.01)
    assert "keeping pictures" in steps


def test_the_heads_start_from_the_newest_ranking_model(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.with_data_in(tmp_path)
    torch.manual_seed(5)
    info = coloured.pairs.info
    heads = TrainableRanker(RankerConfig(info["image_encoder"], info["title_encoder"], 32, 384)).ranker()
    model = lab.releases.publish(MODEL, ALL, TrainedRanker(heads, Calibration(1.0, {}, 1.0), {}).save, info)
    data = load_dataset(lab, coloured.pairs)
    scores = heads.predict(dataset_inputs(data).dense()).score
    held = data.pairs[data.pairs.part == "validation"]
    expected = float((scores[held.winner] > scores[held.loser]).mean())
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, heads="trained", epochs=1))
    assert release.info["ranker_release"] == model.release_id
    assert release.info["validation_auc_before"] == pytest.approx(expected, abs=0.05)


def test_an_unreadable_picture_drops_its_own_pairs_only(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.with_data_in(tmp_path)
    shutil.copytree(lab.images.root, tmp_path / "pictures")
    lab = dataclasses.replace(lab, images=ImageFolder(tmp_path / "pictures"))
    table = pd.read_parquet(coloured.pairs.path / "videos.parquet")
    pairs = pd.read_parquet(coloured.pairs.path / "pairs.parquet")
    deleted, damaged = 0, PER_CHANNEL + 1
    lab.images.remove(table.sha256[deleted])
    lab.images.path(table.sha256[damaged]).write_bytes(b"no picture")
    release = fine_tune(lab, coloured.pairs, QUICK)
    assert [sha256 for sha256, _ in release.info["unreadable"]] == [table.sha256[deleted], table.sha256[damaged]]
    affected = pairs.winner.isin([deleted, damaged]) | pairs.loser.isin([deleted, damaged])
    clear = pairs[(pairs.part == "train") & (pairs.margin >= QUICK.least_margin)]
    assert release.info["dropped_pairs"] == int(affected[clear.index].sum()) > 0
    assert release.info["pairs"] == len(clear) - release.info["dropped_pairs"]


def test_an_unsuitable_encoder_is_refused_in_one_sentence(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.with_data_in(tmp_path)
    with pytest.raises(LabError, match="the image tower has 2 blocks, so 3 cannot be fine-tuned"):
        fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, blocks=3))
    with pytest.raises(
        LabError, match=r"no ranking model exists, or the newest ranking model was not trained with open_clip-tiny"
    ):
        fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, heads="trained"))
    builtin = dataclasses.replace(lab, settings=lab.settings.model_copy(update={"image_encoder": "builtin"}))
    with pytest.raises(LabError, match="only an open_clip encoder can be fine-tuned, not builtin"):
        fine_tune(builtin, coloured.pairs, QUICK)
    other = dataclasses.replace(coloured.pairs, info={**coloured.pairs.info, "image_encoder": "builtin-768-v3"})
    with pytest.raises(LabError, match="made with the encoder builtin-768-v3, but the settings name open_clip-tiny"):
        fine_tune(lab, other, QUICK)


def test_a_video_deleted_since_the_pairs_were_made_is_left_out_and_counted(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.with_data_in(tmp_path)
    # This test deletes a video from the database that all tests of the module share. This test must therefore be the
    # last one.
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id == "v0"))
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, epochs=1))
    assert (release.info["forgotten"], release.info["pictures"]) == (1, CHANNELS * 17 - 1)
