"""Test that a lab can encode and measure if its releases are in an object store."""

import dataclasses

import pytest
from bench import NICHE, Bench
from object_store_server import object_store, running_s3
from pydantic import SecretStr

from thumblab_core.encoders.load import encoder_folder, image_encoder
from thumblab_pipelines.features import embed, sub_scores
from thumblab_pipelines.features.encoding_work import PictureEncoding


def test_a_lab_with_an_object_store_encodes_and_measures(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_s3() as server:
        url = server.url("releases")
        chosen = bench.lab.settings.model_copy(update={"release_store": SecretStr(url)})
        lab = dataclasses.replace(
            bench.lab, settings=chosen, releases=object_store(url, tmp_path_factory.mktemp("cache"))
        )
        assert embed.embed(lab, NICHE).images == len(bench.ids())
        assert sub_scores.measure_features(lab, NICHE).measured == len(bench.ids())
        encoder = image_encoder(chosen)
        sent = PictureEncoding(encoder, "builtin", encoder_folder(chosen, encoder), lab.images).__reduce__()
        assert url not in repr(sent), "a worker must get no credentials"
