"""Test that a lab can encode and measure if its releases are in an object store."""

import dataclasses
from collections.abc import Iterator

import pytest
from bench import NICHE, Bench
from object_store_server import S3Server, object_store, running_s3
from pydantic import SecretStr

from thumblab_core.encoders.load import encoder_folder, image_encoder
from thumblab_core.image_store import image_store
from thumblab_core.image_store.copying import copy_images
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.object_store.bucket import Bucket, StoreAwayError, StoreError
from thumblab_core.object_store.outage import Outage
from thumblab_pipelines.features import embed, sub_scores
from thumblab_pipelines.features.encoding_work import PictureEncoding
from thumblab_pipelines.lab import Lab


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


@pytest.fixture
def server() -> Iterator[S3Server]:
    with running_s3() as running:
        yield running


@pytest.fixture
def stored(bench: Bench, server: S3Server) -> Lab:
    """The lab of `bench`, with its pictures in an object store. The cache of pictures is empty."""
    chosen = bench.lab.settings.model_copy(update={"image_store": SecretStr(server.url("pictures", "images"))})
    images = image_store(chosen)
    assert copy_images(bench.lab.images, images, [one.sha256 for one in bench.lab.images.stored()]) == []
    assert isinstance(images, ImageObjects)
    for one in list(images.cache.images.stored()):
        images.cache.forget(one.sha256)
    return dataclasses.replace(bench.lab, settings=chosen, images=images)


def test_pictures_in_an_object_store_are_encoded_and_measured_and_one_that_fails_is_done_by_the_next_run(
    bench: Bench, stored: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = Bucket.read, list[str]()

    def once(bucket: Bucket, key: str) -> object:
        if not failed:
            failed.append(key)
            raise StoreError(f"{bucket} cannot be used for {key} (no answer in time)")
        return real(bucket, key)

    monkeypatch.setattr(Bucket, "read", once)
    first = embed.embed(stored, NICHE)
    assert first.images == len(bench.ids()) - len(first.unreadable)
    assert len(failed) == 1 <= len(first.unreadable)
    assert all("cannot be read now" in sentence for sentence in first.unreadable)
    assert embed.embed(stored, NICHE).images == len(first.unreadable)
    assert bench.vectors(bench.pictures.fingerprint) == len(bench.ids())
    assert sub_scores.measure_features(stored, NICHE).measured == len(bench.ids())


def test_while_the_image_store_is_away_embedding_and_measuring_stop_with_its_name(
    stored: Lab, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored.images, "_outage", Outage(most=2))  # Two failed requests in a row are an outage.
    server.process.kill()
    server.process.wait()
    for work in (embed.embed, sub_scores.measure_features):
        with pytest.raises(StoreAwayError, match=r"s3://pictures/images .* requests in a row have failed"):
            work(stored, NICHE)
