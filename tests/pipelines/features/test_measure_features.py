"""Tests of measuring a library.

Each thumbnail is measured once. The sub-scores of a thumbnail are stored with their evidence: the measurements in the
picture. If a picture is damaged, the other pictures are still measured.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import dagster as dg
import numpy as np
import pytest
from sqlalchemy import select

from thumblab_core.database.tables import thumbnails, visual_features
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.images import Pixels
from thumblab_core.sub_scores import meter
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.defs.library.visual_features import visual_features as visual_features_asset
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features import embed, sub_scores
from thumblab_pipelines.lab import Lab

NICHE = "tech"
_COLUMNS = (
    "video_id",
    "niche",
    "channel",
    "title",
    "views",
    "published_on",
    "observed_at",
    "duration_s",
    "tags",
    "image",
)
TEXTS = ("BEST PHONE", "", "CAMERA TEST", "42")


class Tower(BuiltinEncoder):
    """The built-in encoder with a text tower, a part that encodes texts. The tower gives every text the same vector."""

    fingerprint = "tower-768"

    def __init__(self) -> None:
        self.images = 0

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        self.images += len(images)
        return super().encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return unit(np.ones((len(texts), self.dimension), np.float32))


@pytest.fixture
def lab(open_lab: Callable[..., Lab], tmp_path: Path) -> Lab:
    """A lab with a library of four pictures, three of which show a text."""
    (tmp_path / "images").mkdir()
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for number, text in enumerate(TEXTS):
            picture = np.full((360, 640, 3), 20 + 40 * number, np.uint8)
            cv2.circle(picture, (500, 250), 60, (30, 60, 250), -1)
            cv2.putText(picture, text, (30, 120), cv2.FONT_HERSHEY_DUPLEX, 2, (255, 255, 255), 4, cv2.LINE_AA)
            cv2.imwrite(str(tmp_path / f"images/{number}.png"), picture)
            video = [f"video{number:06d}", NICHE, "A channel", "The best phone", 1000, "2026-11-01"]
            rows.writerow([*video, "2026-11-20T12:00:00Z", 300, "", f"images/{number}.png"])
    lab = open_lab()
    assert import_catalogue(lab, tmp_path).problems == []
    return lab


def measured(lab: Lab) -> list[Any]:
    with lab.engine.connect() as connection:
        return list(connection.execute(select(visual_features).order_by(visual_features.c.video_id)))


def test_every_row_has_evidence_and_says_what_title_match_was_compared_with(lab: Lab) -> None:
    result = sub_scores.measure_features(lab, NICHE)
    assert (result.measured, dict(result.matched)) == (4, {"text": 2, "nothing": 2})
    assert result.pictures_per_second > 0
    assert result.missing == ("no face model: run `thumblab models pull`",)
    rows = measured(lab)
    assert [row.evidence["title_match_by"] for row in rows] == ["text", None, "text", None]
    assert rows[0].title_match > 0.5 > rows[2].title_match
    assert rows[1].title_match is None
    assert "".join(line["text"] for line in rows[0].evidence["texts"]).replace(" ", "") == "BESTPHONE"
    assert rows[0].evidence["missing"] == list(result.missing)


def test_a_second_run_loads_no_engine_and_measures_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    sub_scores.measure_features(lab, NICHE)
    before = measured(lab)
    monkeypatch.setattr(meter.Meter, "_opened", lambda self: pytest.fail("an engine was loaded"))
    again = sub_scores.measure_features(lab, NICHE)
    assert (again.had, again.measured, measured(lab)) == (4, 0, before)


def test_a_new_face_model_makes_all_thumbnails_be_measured_again(
    lab: Lab, open_lab: Callable[..., Lab], shared_data: Path
) -> None:
    sub_scores.measure_features(lab, NICHE)
    model = shared_data.parent / "models" / "face_detection_yunet_2026may.onnx"
    result = sub_scores.measure_features(open_lab(beside=lab, face_model=model), NICHE)
    assert (result.had, result.measured, result.missing) == (0, 4, ())
    assert all(row.evidence["faces"] == [] for row in measured(lab))


def test_a_damaged_picture_is_reported_and_the_others_are_measured(lab: Lab) -> None:
    with lab.engine.connect() as connection:
        sha256 = connection.execute(select(thumbnails.c.sha256).order_by(thumbnails.c.video_id)).scalars().first()
    lab.images.path(str(sha256)).write_bytes(b"rotten")
    result = sub_scores.measure_features(lab, NICHE)
    assert result.measured == 3
    assert len(result.unreadable) == 1
    assert "video000000" in result.unreadable[0]
    assert "damaged" in result.unreadable[0]


def test_with_a_text_tower_the_stored_vectors_are_used(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = Tower()
    for module in (embed, sub_scores):
        monkeypatch.setattr(module, "image_encoder", lambda _: tower)
    embed.embed(lab, NICHE)
    already = tower.images
    result = sub_scores.measure_features(lab, NICHE)
    assert dict(result.matched) == {"picture": 4}
    assert tower.images == already
    expected = [row.title_match for row in measured(lab)]
    with lab.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM embeddings")
        connection.exec_driver_sql("DELETE FROM visual_features")
    sub_scores.measure_features(lab, NICHE)
    assert tower.images == already + 4
    assert [row.title_match for row in measured(lab)] == pytest.approx(expected)


def test_the_asset_metadata_report_measured_and_missing_pictures(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # Dagster copies the resource, and the copy would open another lab. With this patch, `open` returns this lab.
    monkeypatch.setattr(LabResource, "open", lambda self: lab)
    with dg.build_asset_context(partition_key=NICHE) as context:
        result = visual_features_asset(context, LabResource())
    metadata = {name: getattr(value, "value", value) for name, value in result.metadata.items()}
    assert (metadata["measured"], metadata["had_already"], metadata["unreadable"]) == (4, 0, 0)
    assert metadata["title_match_by"] == {"text": 2, "nothing": 2}
    assert "thumblab models pull" in metadata["missing"]
    assert metadata["pictures_per_second"] > 0
