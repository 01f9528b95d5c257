"""Tests of all steps from an answer of the scoring service to the comparison of the answer with its outcome.

A real service answers over HTTP and keeps its answers as predictions. Then experiments end and videos are published. A
Dagster job compares the predictions with these outcomes. The channels, the experiments and the emulator of YouTube come
from the demo. The model is trained on the demo's catalogue, so its answers are better than chance. The service stores
the real time of each answer. The dates of videos and experiments are therefore computed from the real time too.
"""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import numpy as np
import pytest
import uvicorn
from catalogues import Edited
from given_experiments import given_planted
from sqlalchemy import select

from benchmarks.planted import planted_data
from demo.catalogues.experiments import PlantedExperiment, planted_experiments
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import PlantedThumbnail, SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import prediction_outcomes
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.settings import settings
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.observe import observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.evaluation.figures import Evaluation
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.features.views_at_age import compute_views_at_age
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.train import train
from thumblab_serving.__main__ import config
from thumblab_serving.app import create_app

KEY = "key-of-the-tests-0123456789"
NICHE = "tech"


@dataclasses.dataclass(frozen=True)
class Loop:
    """A lab with a running service that keeps its answers, and the emulator from which the lab collects videos.

    `catalogue` is the synthetic catalogue whose videos the emulator serves. In the emulator, the videos of the niche
    `NICHE` are published one to two hours after the start of the emulator.
    """

    lab: Lab
    catalogue: SyntheticCatalogue
    emulator: Emulator
    client: httpx.Client

    @property
    def channel(self) -> str:
        """The id of the only channel of the niche `NICHE`."""
        (channel,) = (name for name, channel in self.catalogue.channels.items() if channel.niche == NICHE)
        return channel

    @property
    def experiments(self) -> list[PlantedExperiment]:
        return planted_experiments(self.catalogue, self.channel, 12, seed=1, impressions=20_000)

    def score(self, channel: str, thumbnails: list[PlantedThumbnail]) -> dict[str, Any]:
        files = [("thumbnails", (thumbnail.name, thumbnail.image, "image/jpeg")) for thumbnail in thumbnails]
        fields = {"title": thumbnails[0].title, "category": NICHE, "channel_id": channel}
        answer = self.client.post("/v1/score", data=fields, files=files)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_until_kept(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while (state := self.client.get("/health").json()["predictions"])["kept"] < count:
            assert (state["state"], state["lost"]) == ("fine", 0)
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def materialize(self, monkeypatch: pytest.MonkeyPatch) -> dg.ExecuteInProcessResult:
        """Run the job `judge_predictions`, and return its result. The job materializes the asset `prediction_quality`."""
        assert self.lab.settings.database_url is not None
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(self.lab.settings.data_dir))
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", self.lab.settings.database_url.get_secret_value())
        monkeypatch.setenv("THUMBLAB_KEEP_PREDICTIONS", "true")
        settings.cache_clear()
        return defs().resolve_job_def("judge_predictions").execute_in_process()


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: getattr(value, "value", None) for name, value in event.materialization.metadata.items()}


def publish_later(source: SyntheticCatalogue, now: datetime) -> Edited:
    """Return a copy of `source` that is observed at `now`.

    The videos of the niche `NICHE` are published one to two hours after `now`. All other videos keep their ages.
    """
    number = {video_id: place for place, video_id in enumerate(source.videos)}

    def shift(video: CatalogueVideo) -> CatalogueVideo:
        if video.niche == NICHE:
            at = now + timedelta(hours=1, minutes=number[video.video_id] % 60)
        else:
            at = video.published_at + (now - source.observed_at)
        return dataclasses.replace(video, published_at=at)

    return Edited(source, shift, now)


@contextmanager
def answering(lab: Lab) -> Iterator[httpx.Client]:
    """Run the scoring service of the lab on a real socket during the `with` block, and yield an HTTP client.

    The client is yielded as soon as the service can measure sub-scores without a delay.
    """
    server = uvicorn.Server(config(create_app(lab.settings), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=60, trust_env=False, headers={"X-API-Key": KEY}) as client:
        deadline = time.monotonic() + 60
        while client.get("/health").json()["meter"]["state"] != "warm":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def writer_of(ranker: TrainedRanker) -> Callable[[Path], None]:
    """Return a function that writes the model and an evaluation to a release folder.

    The figures of the evaluation are invented, so that the model's skill counts as proven. If a model's skill is not
    proven, the answer names no winner.
    """

    def write(folder: Path) -> None:
        ranker.save(folder)
        rows = [
            Evaluation(
                split, "residual", "model", "auc", 0.7, 0.65, 0.75, pairs=1_000, channels=40, question="one_title"
            )
            for split in ("future", "new_channels", "adapted")
        ]
        (folder / "evaluation.json").write_text(json.dumps([dataclasses.asdict(row) for row in rows]))

    return write


@pytest.fixture(scope="module")
def loop(open_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    planted = planted_data(270, 7, tmp_path_factory.mktemp("pairs"))
    planted.data.release.info["title_encoder"] = title_encoder("minilm").fingerprint
    trained = train(planted.data, TrainConfig(epochs=2))
    now = datetime.now(UTC).replace(microsecond=0)
    with Emulator(publish_later(planted.catalogue, now)) as emulator:
        youtube = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": "any", "uploads_per_channel": 50}
        lab = open_lab(keep_predictions=True, api_key=KEY, **youtube)
        info = {"image_encoder": BuiltinEncoder.fingerprint, "image_encoder_name": "builtin"}
        lab.releases.serving.promote(lab.releases.publish(MODEL, ALL, writer_of(trained.ranker), info))
        with answering(lab) as client:
            yield Loop(lab, planted.catalogue, emulator, client)


@pytest.mark.slow
def test_answers_are_compared_with_the_outcomes_of_experiments(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    channel, planted, before = loop.channel, loop.experiments, kept_count(loop)
    answers = [loop.score(channel, [variant.thumbnail for variant in one.variants]) for one in planted]
    loop.wait_until_kept(before + len(planted))
    writer = ExperimentWriter(loop.lab)
    for number, experiment in enumerate(planted):
        writer.add(given_planted(experiment, channel, datetime.now(UTC).date(), tmp_path / str(number)))
    result = loop.materialize(monkeypatch)
    found = figures(result)
    assert result.success
    assert found["with_experiment"] == len(planted)
    claims = claimed_of_winners(planted, answers)
    assert found["decided_pairs"] == len(claims) >= 8
    assert found["log_loss"] == pytest.approx(-np.log(claims).mean(), abs=1e-3)
    assert found["accuracy"] == pytest.approx(np.mean(np.array(claims) > 0.5), abs=1e-3)
    # The simulated viewers prefer pictures of high planted quality. The model was trained on the same catalogue, so in
    # most pairs the model prefers the same picture as the viewers.
    assert found["accuracy"] > 0.6
    assert 0 <= found["accuracy_low"] < found["accuracy"] < found["accuracy_high"] <= 1
    (release,) = found["by_release"]
    assert release == loop.lab.releases.serving.current_id(MODEL, ALL)
    assert found["by_release"][release]["accuracy"] == found["accuracy"]
    assert "data:image/png;base64," in found["preview"]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(checks) == {"enough_outcomes", "calibrated"}
    assert checks["enough_outcomes"].passed == (found["decided_pairs"] >= 30)
    with loop.lab.engine.connect() as connection:
        results = connection.scalars(
            select(prediction_outcomes.c.result).where(prediction_outcomes.c.experiment_id.is_not(None))
        ).all()
    assert results.count("won") == sum(one.winner is not None for one in planted)


def test_an_answer_about_a_video_is_judged_by_its_views_once_it_is_collected(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, before = loop.channel, kept_count(loop)
    tested = {experiment.video_id for experiment in loop.experiments}
    videos = [video.video_id for video in loop.catalogue.channels[channel].videos if video.video_id not in tested][:6]
    for video_id in videos:
        candidates = [loop.catalogue.new_picture(video_id, "draft"), loop.catalogue.thumbnail(video_id)]
        loop.score(channel, candidates)
    loop.wait_until_kept(before + len(videos))
    loop.emulator.advance(timedelta(hours=151))
    collect(loop.lab, NICHE)
    download_thumbnails(loop.lab, NICHE)
    loop.emulator.advance(timedelta(hours=26))
    observe(loop.lab, NICHE)
    assert compute_views_at_age(loop.lab, NICHE).known[168] >= 20
    found = figures(loop.materialize(monkeypatch))
    assert found["with_video"] == found["with_views"] >= len(videos)
    assert found["video_pairs"] >= 15
    assert 0 <= found["video_accuracy_low"] <= found["video_accuracy"] <= found["video_accuracy_high"] <= 1
    with loop.lab.engine.connect() as connection:
        of_videos = select(prediction_outcomes).where(prediction_outcomes.c.video_id.in_(videos))
        joined = connection.execute(of_videos).all()
    assert len(joined) == len(videos)
    assert {(row.video_id, row.position) for row in joined} == {(video_id, 2) for video_id in videos}
    # All these videos were published within one hour, so the trend of their channel is about the same. The video with
    # the most views in the catalogue must therefore be furthest above the trend.
    views = {video_id: loop.catalogue.videos[video_id].views for video_id in videos}
    assert max(joined, key=lambda row: row.excess).video_id == max(views, key=views.__getitem__)


def claimed_of_winners(planted: list[PlantedExperiment], answers: list[dict[str, Any]]) -> list[float]:
    """Return the probabilities that the answers gave to the winners of experiments.

    For each variant that did not win, the result has the probability that the winner is better than this variant. This
    probability is won / (won + lost), where `won` and `lost` are the win probabilities of the two variants in the
    answer. Variants that the answer did not rank are left out. `answers[i]` is the answer about the variants of
    `planted[i]`.
    """
    claims = []
    for experiment, answer in zip(planted, answers, strict=True):
        chances = [thumbnail["win_probability"] for thumbnail in answer["thumbnails"]]
        if experiment.winner is not None and (won := chances.pop(experiment.winner)) is not None:
            claims += [won / (won + lost) for lost in chances if lost is not None]
    return claims


def kept_count(loop: Loop) -> int:
    return int(loop.client.get("/health").json()["predictions"]["kept"])
