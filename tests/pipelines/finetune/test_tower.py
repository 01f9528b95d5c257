"""Tests of the image tower, the part of an encoder that encodes pictures.

Fine-tuning divides the tower into a frozen part and a trained part. Other tests in this file cover which pairs
fine-tuning takes from a dataset, and which facts an encoder writes to a saved checkpoint.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_clip import TinyClip

from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.errors import LabError
from thumblab_core.images import decode
from thumblab_pipelines.dataset.splits import TRAIN, VALIDATION
from thumblab_pipelines.finetune.fine_tune import FineTuneConfig, _heads
from thumblab_pipelines.finetune.tower_blocks import TrainableTower
from thumblab_pipelines.finetune.tower_training import pairs_of


@pytest.mark.parametrize("part", [TRAIN, VALIDATION])
def test_videos_that_are_not_learnt_are_in_no_pair_and_no_scale(plant: Callable[..., Any], part: str) -> None:
    data = plant(channels=3, videos=40)
    before = len(pairs_of(data, part, 0.0)[0])
    left_out = data.rows(part)[:5]
    data.videos.loc[left_out, "learnt"] = False
    winners, losers = pairs_of(data, part, 0.0)
    assert 0 < len(winners) < before
    assert not np.isin(left_out, np.concatenate([winners, losers])).any()
    if part == TRAIN:
        data.images[left_out] = 1_000.0
        weights = _heads(data, None, 0).state_dict()
        assert all(float(value.abs().max()) < 100 for value in weights.values() if value.is_floating_point())


def other_towers() -> Iterator[tuple[str, Any]]:
    """Yield the name and the image tower of two models that differ from open_clip's own ViT, a vision transformer.

    The first is a ViT of the library timm in open_clip's adapter, as in SigLIP. The second is the ResNet of CLIP.
    """
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    torch.manual_seed(0)
    timm = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    yield "timm", _build_vision_tower(32, CLIPVisionCfg(**timm)).eval()
    yield "resnet", _build_vision_tower(32, CLIPVisionCfg(layers=(1, 1, 1, 1), width=8, image_size=32)).eval()


def test_blocks_are_named_in_order_and_a_tower_without_blocks_is_an_error(tiny: TinyClip) -> None:
    towers = dict(other_towers())
    expected = ["transformer.resblocks.0", "transformer.resblocks.1"]
    assert list(TrainableTower(tiny.model.visual, "all").blocks) == expected
    for visual in (tiny.model.visual, towers["timm"]):
        tower, modules = TrainableTower(visual, "all"), dict(visual.named_modules())
        assert len(tower.blocks) > 1
        assert [modules[name] for name in tower.blocks] == tower._modules
    with pytest.raises(LabError, match="ModifiedResNet has no transformer blocks that can be fine-tuned; use a ViT"):
        TrainableTower(towers["resnet"], "all")


@pytest.mark.parametrize(
    ("kind", "blocks"), [("open_clip", 1), ("open_clip", 2), ("open_clip", "all"), ("timm", 2), ("timm", "all")]
)
def test_a_divided_tower_equals_the_whole_one_and_gradients_reach_its_trained_part(
    kind: str, blocks: Any, tiny: TinyClip
) -> None:
    visual = OpenClipEncoder(tiny.name, str(tiny.weights)).torch_model.visual
    visual = visual if kind == "open_clip" else dict(other_towers())["timm"]
    size = 32 if kind == "open_clip" else 160
    pictures = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    tower = TrainableTower(visual, blocks)
    vectors = tower.above(tower.below(pictures))
    with torch.no_grad():
        torch.testing.assert_close(vectors, torch.nn.functional.normalize(visual(pictures), dim=-1), atol=1e-5, rtol=0)
    vectors[:, 0].sum().backward()
    parameters = dict(visual.named_parameters())
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in tower.parameters.values())
    frozen = [parameter for name, parameter in parameters.items() if name not in tower.parameters]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen)
    assert sorted(name for layer in tower.layers for name in layer) == sorted(tower.parameters)
    assert len(tower.blocks) == (len(tower._modules) if blocks == "all" else blocks)
    assert tower.whole == (parameters.keys() == tower.parameters.keys())


@pytest.mark.slow
def test_a_saved_checkpoint_holds_the_facts_of_its_tag_in_open_clip(
    tiny: TinyClip, drawn: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Check that an encoder saves its weights with all facts that are needed to use the weights.

    These facts are the activation function, and the mean and standard deviation by which pixels are normalised. For
    published weights, open_clip has these facts in a table, under a tag. A saved file has no tag, so the file itself
    must contain the facts.
    """
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
        ({"blocks": 0}, "blocks is 0; give how many of the last blocks to train (1 or more), or 'all'"),
        ({"epochs": 0}, "epochs is 0; use 1 or more"),
        ({"pictures": 1}, "pictures is 1; use 2 or more"),
        ({"encoder_rate": 0.0}, "encoder_rate is 0.0; use a finite number above 0"),
        ({"heads": "some"}, "heads is 'some'; use trained or fresh"),
    ],
)
def test_an_invalid_configuration_is_an_error_in_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabError) as error:
        FineTuneConfig(**values)
    assert str(error.value) == sentence
