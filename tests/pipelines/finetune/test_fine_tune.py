"""Promises of fine-tuning: what is named learns and nothing else does, and what comes of it is an encoder like any other."""

import dataclasses
import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sqlalchemy import delete, insert
from tiny_clip import TinyClip

from thumblab_core.database.tables import channels, thumbnails, videos
from thumblab_core.encoders.load import image_encoder, named_image_encoder, title_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.tower import normalised
from thumblab_core.errors import LabError
from thumblab_core.images import ImageStore, decode
from thumblab_core.ranking.ranker import Ranker, RankerConfig, join
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.dataset.load import load_dataset
from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints, seen_by
from thumblab_pipelines.dataset.snapshot import read_snapshot
from thumblab_pipelines.dataset.splits import TRAIN, VALIDATION
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.finetune.fine_tune import WEIGHTS, FineTuneConfig, _heads, fine_tune, setting_of
from thumblab_pipelines.finetune.tower_blocks import TrainableTower, blocks_of
from thumblab_pipelines.finetune.tower_training import pairs_of
from thumblab_pipelines.lab import Lab

NICHE = "tech"
CHANNELS, PER_CHANNEL = 4, 20
QUICK = FineTuneConfig(blocks=1, heads="fresh", epochs=2, pictures=16, encoder_rate=1e-3, heads_rate=3e-3)
LAST_BLOCK, ENDING = ("transformer.resblocks.1.",), ("ln_post.", "proj")


def picture(random: np.random.Generator, red: float) -> bytes:
    """Noise on a ground between blue (0) and red (1)."""
    pixels = random.integers(0, 60, (90, 160, 3)) + np.array([180 * red, 60, 180 * (1 - red)])
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Coloured:
    """A lab in which the redder of two pictures of a channel wins, and the pairs release that says so."""

    lab: Lab
    pairs: Release

    def elsewhere(self, folder: Path) -> Lab:
        """The same lab, keeping releases and checkpoints in another folder."""
        settings = self.lab.settings.model_copy(update={"data_dir": folder})
        return dataclasses.replace(self.lab, settings=settings, releases=ReleaseStore(folder / "releases"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A tower of two layers is too little to share between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def coloured(open_lab: Callable[..., Lab], tiny: TinyClip) -> Coloured:
    import pandas as pd

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
            "sha256": [lab.images.put(picture(random, one)) for one in red],
            "part": part,
            "fold": np.repeat([0, 1, 2, 0], PER_CHANNEL),
            "learnt": True,
            "target": red,
        }
    )
    with lab.engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": c, "title": c} for c in table.channel_id.unique()])
        for row in table.itertuples():
            facts = {"video_id": row.video_id, "niche": NICHE, "channel_id": row.channel_id, "title": row.title}
            told = {"published_at": row.published_at, "tags": [], "source": "catalogue", "refreshed_at": start}
            connection.execute(insert(videos), [facts | told])
            seen = {"video_id": row.video_id, "sha256": row.sha256, "width": 160, "height": 90}
            connection.execute(insert(thumbnails), [seen | {"fetched_at": start, "checked_at": start}])
    embed(lab, NICHE)
    found = []
    for i, j in combinations(range(n), 2):
        if table.channel_id[i] == table.channel_id[j]:
            winner, loser = (i, j) if red[i] > red[j] else (j, i)
            both = part[i] if part[i] == part[j] else "mixed"
            found.append((winner, loser, table.channel_id[i], both, red[winner] - red[loser]))
    pairs = pd.DataFrame(found, columns=["winner", "loser", "channel_id", "part", "margin"])

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
def phase_2(coloured: Coloured) -> Release:
    return fine_tune(coloured.lab, coloured.pairs, dataclasses.replace(QUICK, epochs=8))


def changed(release: Release, tiny: TinyClip) -> set[str]:
    """The names of the tensors of the CLIP that are no longer bit for bit what they were."""
    before, after = tiny.model.state_dict(), load_file(release.path / WEIGHTS)
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def other_towers() -> Iterator[tuple[str, Any]]:
    """A ViT of timm in open_clip's adapter, as SigLIP has it, and the ResNet of CLIP."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    torch.manual_seed(0)
    timm = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    yield "timm", _build_vision_tower(32, CLIPVisionCfg(**timm)).eval()
    yield "resnet", _build_vision_tower(32, CLIPVisionCfg(layers=(1, 1, 1, 1), width=8, image_size=32)).eval()


@pytest.mark.parametrize("part", [TRAIN, VALIDATION])
def test_what_the_model_must_not_learn_from_is_in_no_pair_and_in_no_scale(plant: Callable[..., Any], part: str) -> None:
    data = plant(channels=3, videos=40)
    before = len(pairs_of(data, part, 0.0)[0])
    left_out = data.rows(part)[:5]
    data.videos.loc[left_out, "learnt"] = False
    winners, losers = pairs_of(data, part, 0.0)
    assert 0 < len(winners) < before
    assert not np.isin(left_out, np.concatenate([winners, losers])).any()
    if part == TRAIN:
        data.images[left_out] = 1_000.0
        means = _heads(data, None, 0).state_dict()
        assert all(float(value.abs().max()) < 100 for value in means.values() if value.is_floating_point())


def test_blocks_are_named_in_their_order_and_a_tower_without_any_is_refused(tiny: TinyClip) -> None:
    towers = dict(other_towers())
    expected = ["transformer.resblocks.0", "transformer.resblocks.1"]
    assert [name for name, _ in blocks_of(tiny.model.visual)] == expected
    for tower in (tiny.model.visual, towers["timm"]):
        modules = dict(tower.named_modules())
        assert len(blocks_of(tower)) > 1
        assert all(modules[name] is block for name, block in blocks_of(tower))
    with pytest.raises(LabError, match="ModifiedResNet has no transformer blocks that the lab knows; fine-tune a ViT"):
        blocks_of(towers["resnet"])


@pytest.mark.parametrize(
    ("kind", "blocks"), [("open_clip", 1), ("open_clip", 2), ("open_clip", "all"), ("timm", 2), ("timm", "all")]
)
def test_a_tower_that_was_cut_computes_as_a_whole_one_and_gradients_reach_every_part_that_learns(
    kind: str, blocks: Any, tiny: TinyClip
) -> None:
    visual = OpenClipEncoder(tiny.name, str(tiny.weights)).torch_model.visual
    visual = visual if kind == "open_clip" else dict(other_towers())["timm"]
    size = 32 if kind == "open_clip" else 160
    pictures = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    tower = TrainableTower(visual, blocks)
    found = tower.above(tower.below(pictures))
    with torch.no_grad():
        torch.testing.assert_close(found, torch.nn.functional.normalize(visual(pictures), dim=-1), atol=1e-5, rtol=0)
    found[:, 0].sum().backward()
    every = dict(visual.named_parameters())
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in tower.parameters.values())
    assert all(every[name].grad is None and not every[name].requires_grad for name in every.keys() - tower.parameters)
    assert sorted(name for layer in tower.layers for name in layer) == sorted(tower.parameters)
    assert len(tower.blocks) == (len(blocks_of(visual)) if blocks == "all" else blocks)
    assert tower.whole == (every.keys() == tower.parameters.keys())


def test_only_the_named_blocks_change_with_the_final_norm_and_projection(
    coloured: Coloured, phase_2: Release, tiny: TinyClip
) -> None:
    assert phase_2.info["blocks"] == ["transformer.resblocks.1"]
    visual = [name for name in tiny.model.state_dict() if name.startswith("visual.")]
    named = {name for name in visual if name.removeprefix("visual.").startswith(LAST_BLOCK + ENDING)}
    assert changed(phase_2, tiny) == named
    assert len(named) == 12 + 3


def test_what_is_planted_is_learnt(phase_2: Release) -> None:
    history = json.loads((phase_2.path / "history.json").read_text())
    losses = [epoch["pair_loss"] for epoch in history]
    assert losses[-1] < 0.75 * losses[0]  # smoothed labels leave 0.27
    assert phase_2.info["validation_auc_before"] < 0.8 < phase_2.info["kept"]["validation_auc"]
    assert phase_2.info["kept"] == max(history, key=lambda epoch: epoch["validation_auc"])
    assert phase_2.info["dropped_pairs"] == 0 < phase_2.info["pairs"]


def test_the_epoch_that_orders_validation_best_is_published(
    coloured: Coloured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.finetune.tower_training import TowerTraining
    from thumblab_pipelines.training.checkpoints import Checkpoint, State

    said, states = iter([0.5, 0.6, 0.9, 0.7]), []  # before training, then after each epoch
    monkeypatch.setattr(TowerTraining, "validation_auc", lambda _: next(said))

    def save(_: Checkpoint, state: State) -> None:
        states.append({name: value.detach().clone() for name, value in state.part("tower").items()})

    monkeypatch.setattr(Checkpoint, "save", save)
    release = fine_tune(coloured.elsewhere(tmp_path), coloured.pairs, dataclasses.replace(QUICK, epochs=3))
    assert release.info["kept"]["epoch"] == 1
    weights = load_file(release.path / WEIGHTS)
    assert all(torch.equal(weights[f"visual.{name}"], value) for name, value in states[1].items())
    assert not torch.equal(states[1]["proj"], states[2]["proj"])


def test_in_the_third_phase_the_whole_image_tower_changes_and_the_text_tower_does_not(
    coloured: Coloured, tiny: TinyClip
) -> None:
    release = fine_tune(coloured.lab, coloured.pairs, dataclasses.replace(QUICK, blocks="all", epochs=1))
    assert changed(release, tiny) == {name for name in tiny.model.state_dict() if name.startswith("visual.")}


def test_what_an_earlier_phase_has_seen_is_not_forgotten(coloured: Coloured, tiny: TinyClip, tmp_path: Path) -> None:
    of_before = tiny.weights.parent / SEEN
    np.save(of_before, fingerprints(["of an earlier phase"]))
    try:
        release = fine_tune(coloured.elsewhere(tmp_path), coloured.pairs, dataclasses.replace(QUICK, epochs=1))
    finally:
        of_before.unlink()
    seen = seen_by(release, ["of an earlier phase", "v0", "v19"])
    assert seen is not None
    assert seen.tolist() == [True, True, False]


def test_it_is_loaded_as_any_encoder_and_computes_what_was_trained(
    coloured: Coloured, tiny: TinyClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_lab: Callable[..., Lab]
) -> None:
    trained: list[OpenClipEncoder] = []
    save = OpenClipEncoder.save_checkpoint
    monkeypatch.setattr(OpenClipEncoder, "save_checkpoint", lambda it, path: (trained.append(it), save(it, path)))
    lab = coloured.elsewhere(tmp_path)
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, accumulate=2, layer_decay=0.5))
    base = image_encoder(coloured.lab.settings)
    new = open_lab(beside=coloured.lab, image_encoder=setting_of(release))
    encoder = image_encoder(new.settings)
    with coloured.lab.engine.connect() as connection:
        known = connection.execute(thumbnails.select().limit(8)).mappings().all()
    pictures = [decode(lab.images.get(row["sha256"])).pixels for row in known]
    batch = np.stack([encoder.prepare(one) for one in pictures])
    with torch.no_grad():
        model = trained[0].torch_model
        inside = model.encode_image(torch.from_numpy(normalised(batch, trained[0].preprocessing)), normalize=True)
    vectors = encoder.encode_images(pictures)
    np.testing.assert_allclose(vectors, inside.numpy(), atol=1e-4)
    assert (vectors * base.encode_images(pictures)).sum(axis=1).max() < 0.999
    assert encoder.fingerprint != base.fingerprint
    # The ordinary change of encoder: every picture has a vector of the new one, beside those of the old one.
    again = embed(new, NICHE)
    assert (again.encoder, again.images) == (encoder.fingerprint, CHANNELS * PER_CHANNEL)
    assert not (tmp_path / "fine-tuning").exists() or not list((tmp_path / "fine-tuning").iterdir())


def test_a_second_call_with_nothing_new_returns_what_is_there(coloured: Coloured, phase_2: Release) -> None:
    told: list[Any] = []
    again = fine_tune(coloured.lab, coloured.pairs, dataclasses.replace(QUICK, epochs=8), lambda *it: told.append(it))
    assert (again, told) == (phase_2, [])


@pytest.fixture(scope="module")
def straight(coloured: Coloured, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Release]:
    """Three epochs without an interruption, by what learns."""
    return cache(
        lambda blocks: fine_tune(
            coloured.elsewhere(tmp_path_factory.mktemp("straight")),
            coloured.pairs,
            dataclasses.replace(QUICK, epochs=3, blocks=blocks),
        )
    )


@pytest.mark.parametrize(
    ("moment", "blocks"), [("keeping", 1), ("epoch 1", "all"), ("epoch 2", 1), ("epoch 3", 1), ("epoch 3", "all")]
)
def test_interrupted_at_any_moment_it_ends_with_the_very_same_weights(
    coloured: Coloured, straight: Callable[[Any], Release], tmp_path: Path, moment: str, blocks: Any
) -> None:
    config = dataclasses.replace(QUICK, epochs=3, blocks=blocks)

    def interrupt(what: str, done: int, total: int) -> None:
        if moment in what and done == (16 if moment == "keeping" else 2):
            raise KeyboardInterrupt

    lab = coloured.elsewhere(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(lab, coloured.pairs, config, interrupt)
    told: list[str] = []
    resumed = fine_tune(lab, coloured.pairs, config, lambda what, *_: told.append(what))
    assert resumed.files == straight(blocks).files
    assert any("epoch 1" in what for what in told) == (moment in ("keeping", "epoch 1"))


def test_frozen_blocks_that_run_once_teach_what_frozen_blocks_that_run_every_time_do(
    coloured: Coloured, straight: Callable[[Any], Release], tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, epochs=3, activations_gib=0.0)
    told: list[str] = []
    anew = fine_tune(coloured.elsewhere(tmp_path), coloured.pairs, config, lambda what, *_: told.append(what))
    one, other = (
        [epoch["pair_loss"] for epoch in json.loads((release.path / "history.json").read_text())]
        for release in (straight(1), anew)
    )
    assert one == pytest.approx(other, abs=0.01)
    assert "keeping pictures" in told


def test_the_heads_start_as_those_of_the_newest_ranking_model(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.elsewhere(tmp_path)
    torch.manual_seed(5)
    info = coloured.pairs.info
    heads = Ranker(RankerConfig(info["image_encoder"], info["title_encoder"], 32, 384))
    model = lab.releases.publish(MODEL, ALL, TrainedRanker(heads, Calibration(1.0, {}, 1.0), {}).save, info)
    data = load_dataset(lab, coloured.pairs)
    scores = heads.predict(join(data.images, data.titles, data.videos.title.tolist())).score
    held = data.pairs[data.pairs.part == "validation"]
    expected = float((scores[held.winner] > scores[held.loser]).mean())
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, heads="trained", epochs=1))
    assert release.info["ranker_release"] == model.release_id
    assert release.info["validation_auc_before"] == pytest.approx(expected, abs=0.05)


def test_a_picture_that_cannot_be_read_takes_its_own_pairs_with_it_and_no_others(
    coloured: Coloured, tmp_path: Path
) -> None:
    lab = coloured.elsewhere(tmp_path)
    shutil.copytree(lab.images.root, tmp_path / "pictures")
    lab = dataclasses.replace(lab, images=ImageStore(tmp_path / "pictures"))
    import pandas as pd

    table = pd.read_parquet(coloured.pairs.path / "videos.parquet")
    pairs = pd.read_parquet(coloured.pairs.path / "pairs.parquet")
    gone, damaged = 0, PER_CHANNEL + 1
    lab.images.remove(table.sha256[gone])
    lab.images.path(table.sha256[damaged]).write_bytes(b"no picture")
    release = fine_tune(lab, coloured.pairs, QUICK)
    assert [sha256 for sha256, _ in release.info["unreadable"]] == [table.sha256[gone], table.sha256[damaged]]
    of_those = pairs.winner.isin([gone, damaged]) | pairs.loser.isin([gone, damaged])
    clear = pairs[(pairs.part == "train") & (pairs.margin >= QUICK.least_margin)]
    assert release.info["dropped_pairs"] == int(of_those[clear.index].sum()) > 0
    assert release.info["pairs"] == len(clear) - release.info["dropped_pairs"]


def test_a_checkpoint_says_what_open_clip_would_only_know_of_its_hub(
    tiny: TinyClip, drawn: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenAI's weights need QuickGELU, others their own mean and deviation: the hub's tag says so, a file has to."""
    import open_clip

    tag = {"url": "x", "quick_gelu": True, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "interpolation": "bilinear"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny.name, {"a_tag": tag})
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(tiny.weights))
    hub = OpenClipEncoder(tiny.name, "a_tag")
    pictures = [decode(drawn(seed)).pixels for seed in range(4)]
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    hub.save_checkpoint(first)
    OpenClipEncoder(tiny.name, str(first)).save_checkpoint(second)
    assert first.read_bytes() == second.read_bytes()
    again = named_image_encoder(f"open_clip:{tiny.name}/{second}", tmp_path)
    assert isinstance(again, OpenClipEncoder)
    assert again.preprocessing == hub.preprocessing
    np.testing.assert_allclose(again.encode_images(pictures), hub.encode_images(pictures), atol=1e-5)
    plain = OpenClipEncoder(tiny.name, str(tiny.weights)).encode_images(pictures)
    assert np.abs(again.encode_images(pictures) - plain).max() > 1e-3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"blocks": 0}, "blocks is how many of the last blocks learn, 1 or more, or 'all'; not 0"),
        ({"epochs": 0}, "epochs is 1 or more, not 0"),
        ({"pictures": 1}, "pictures is 2 or more, not 1"),
        ({"encoder_rate": 0.0}, "encoder_rate is above 0, not 0.0"),
        ({"heads": "some"}, "heads is trained or fresh, not 'some'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabError) as error:
        FineTuneConfig(**values)
    assert str(error.value) == sentence


def test_what_cannot_be_fine_tuned_is_one_sentence(coloured: Coloured, tmp_path: Path) -> None:
    lab = coloured.elsewhere(tmp_path)
    with pytest.raises(LabError, match="the image tower has 2 blocks; 3 of them cannot be fine-tuned"):
        fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, blocks=3))
    with pytest.raises(LabError, match=r"there is no ranking model of open_clip-tiny.* whose heads could start"):
        fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, heads="trained"))
    builtin = dataclasses.replace(lab, settings=lab.settings.model_copy(update={"image_encoder": "builtin"}))
    with pytest.raises(LabError, match="only an open_clip encoder can be fine-tuned, not builtin"):
        fine_tune(builtin, coloured.pairs, QUICK)
    other = dataclasses.replace(coloured.pairs, info={**coloured.pairs.info, "image_encoder": "builtin-768-v3"})
    with pytest.raises(LabError, match="the pairs were made with builtin-768-v3, the settings say open_clip-tiny"):
        fine_tune(lab, other, QUICK)


def test_a_video_that_was_forgotten_since_the_pairs_were_made_stops_nothing_and_is_counted(
    coloured: Coloured, tmp_path: Path
) -> None:
    lab = coloured.elsewhere(tmp_path)
    with lab.engine.begin() as connection:  # the database is everybody's, and this test the last
        connection.execute(delete(videos).where(videos.c.video_id == "v0"))
    release = fine_tune(lab, coloured.pairs, dataclasses.replace(QUICK, epochs=1))
    assert (release.info["forgotten"], release.info["pictures"]) == (1, CHANNELS * 17 - 1)
