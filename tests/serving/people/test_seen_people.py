"""Test that an answer names the people on its pictures, with the real networks and pictures of real people.

The networks and the pictures are in the folder of real data, which is not in the repository.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select, text

from thumblab_core.database.tables import channels, metadata, thumbnails, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.faces.embedder import OnnxFaceEmbedder
from thumblab_core.images import digest
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.people.naming import label
from thumblab_core.people.reading import faces_of_cluster, faces_of_picture, list_clusters
from thumblab_core.recognition.appearances import NOTE, appearances
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.detect import detect_faces
from thumblab_pipelines.people.folder import add_folder
from thumblab_pipelines.people.group import assign_faces, group_faces
from thumblab_serving.loading.database import NoDatabaseError

CHANNEL = "UC" + "o" * 22
KNOWN, STRANGERS, SEEN = 5, 2, 12
"""The number of people with a name in the lab, the number of strangers, and the number of pictures of each named person."""


@dataclass
class Seen:
    """A service whose lab knows some people by name: the first `KNOWN` people of the list `people`. All other people in
    `people` are strangers.

    `pictures` maps each person to pictures of this person that are not in the lab.
    """

    service: Any
    lab: Lab
    people: list[str]
    pictures: dict[str, list[bytes]]
    embedded: list[int] = field(default_factory=list)
    """For each call of the embedder, the number of faces that it got."""

    def ask(self, *pictures: bytes, channel: str | None = CHANNEL, key: str | None = None) -> dict[str, Any]:
        fields = {"title": "A title"} | ({} if channel is None else {"channel_id": channel})
        files = [("thumbnails", (f"p{n}.png", data, "image/png")) for n, data in enumerate(pictures)]
        headers = {} if key is None else {"X-API-Key": key}
        reply: httpx.Response = self.service.client.post("/v1/score", data=fields, files=files, headers=headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def unsaid(self, answer: dict[str, Any]) -> list[str]:
        assert answer["people"] is None
        return [sentence for sentence in answer["degraded"] if "who is seen" in sentence]


@pytest.fixture(scope="module")
def seen_lab(
    shared_data: Path, lab_at: Any, people_database: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Lab, list[str], dict[str, list[bytes]]]:
    models = shared_data.parent / "models"
    lab = lab_at(
        tmp_path_factory.mktemp("lab"),
        database_url=people_database,
        people="own",
        score_people=True,
        face_model=models / "face_detection_yunet_2026may.onnx",
        face_embedder=models / "mobilefacenet.onnx",
    )
    lab.promote(lab.index("tech"))
    model = lab.promote(lab.model())
    lab.add_adapter(CHANNEL, model)
    folders = sorted((shared_data / "faces" / "people").iterdir())[: KNOWN + STRANGERS]
    given, kept = tmp_path_factory.mktemp("given"), {}
    for number, folder in enumerate(folders):
        files = sorted(folder.glob("*.png"))
        (given / folder.name).mkdir()
        shown = SEEN if number < KNOWN else 0
        for file in files[:shown]:
            (given / folder.name / file.name).write_bytes(file.read_bytes())
        kept[_name_of(folder)] = [file.read_bytes() for file in files[shown:]]
    opened = Lab.open(lab.settings)
    add_folder(opened, given)
    detect_faces(opened)
    group_faces(opened)
    people = [_name_of(folder) for folder in folders]
    _name(opened, given, people[:KNOWN])
    _show(opened, given / folders[0].name, given / folders[1].name)
    return lab, opened, people, kept


def _name_of(folder: Path) -> str:
    """Return the name of the person in a folder of pictures. A name must not look like the id of a cluster."""
    return folder.name.replace("_", " ").title()


def _name(lab: Lab, given: Path, people: list[str]) -> None:
    """Give each cluster the name of a folder: the folder that most pictures of the cluster come from."""
    folder_of = {digest(file.read_bytes()): _name_of(file.parent) for file in given.rglob("*.png")}
    with lab.engine.begin() as connection:
        for cluster in list_clusters(connection).clusters:
            members = faces_of_cluster(connection, cluster.id).faces
            label(connection, cluster.id, Counter(folder_of[face.sha256] for face in members).most_common(1)[0][0])
        assert {each.name for each in list_clusters(connection).clusters} == set(people)


def _show(lab: Lab, one: Path, other: Path) -> None:
    """Use pictures of two people as thumbnails of the channel. The videos of the first person get four times as many
    views.
    """
    now = datetime.now(UTC)
    files = [file for pair in zip(*(sorted(folder.iterdir()) for folder in (one, other)), strict=True) for file in pair]
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Own"))
        for number, file in enumerate(files):
            video = f"video_{number:05}"
            facts = {"niche": "tech", "title": "t", "tags": [], "source": "youtube", "refreshed_at": now}
            moment = now - timedelta(days=len(files) - number)
            connection.execute(insert(videos).values(video_id=video, channel_id=CHANNEL, published_at=moment, **facts))
            views = {"observed_at": now, "view_count": 4_000 if number % 2 == 0 else 1_000, "era": "any"}
            connection.execute(insert(video_stats).values(video_id=video, **views))
            shown = {"sha256": digest(file.read_bytes()), "fetched_at": now, "checked_at": now}
            connection.execute(insert(thumbnails).values(video_id=video, **shown))


@pytest.fixture(scope="module")
def seen_service(run: Any, seen_lab: tuple[Any, Lab, list[str], dict[str, list[bytes]]]) -> Iterator[Seen]:
    lab, opened, people, pictures = seen_lab
    with run(lab.settings) as service:
        yield Seen(service, opened, people, pictures)


@pytest.fixture
def seen(seen_service: Seen, monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen_service.embedded.clear()
    embed = OnnxFaceEmbedder.embed

    def counted(self: OnnxFaceEmbedder, crops: Any) -> Any:
        seen_service.embedded.append(len(crops))
        return embed(self, crops)

    monkeypatch.setattr(OnnxFaceEmbedder, "embed", counted)
    return seen_service


def test_named_people_are_recognised_and_strangers_are_nobody(seen: Seen) -> None:
    shown = [seen.pictures[name][0] for name in seen.people]
    answer = seen.ask(*shown)
    assert [each["id"] for each in answer["people"]["thumbnails"]] == [each["id"] for each in answer["thumbnails"]]
    for name, candidate in zip(seen.people, answer["people"]["thumbnails"], strict=True):
        (face,) = candidate["faces"]
        assert 0 <= face["box"][0] < face["box"][2] <= 1
        if name in seen.people[:KNOWN]:
            assert face["person"]["name"] == name
            assert answer["people"]["threshold"] <= face["person"]["score"] <= 1
            assert face["person"]["person_id"].startswith("person_")
        else:
            assert face["person"] is None
        assert face["problem"] is None
    assert sum(seen.embedded) == len(shown)
    assert not [sentence for sentence in answer["degraded"] if "who is seen" in sentence]


def test_the_figures_of_people_who_are_seen_come_with_a_note_on_what_figures_do_not_show(seen: Seen) -> None:
    answer = seen.ask(seen.pictures[seen.people[0]][0], seen.pictures[seen.people[2]][0])
    (figures,) = answer["people"]["people"]
    assert (figures["name"], figures["thumbnails"], figures["searched"]) == (seen.people[0], SEEN, 2 * SEEN)
    assert figures["share"] == 0.5
    assert figures["low"] <= figures["views_factor"] <= figures["high"]
    with seen.lab.engine.connect() as connection:
        expected = next(each for each in appearances(connection) if each.name == seen.people[0])
    assert figures["views_factor"] == expected.views_factor
    assert (figures["low"], figures["high"]) == (expected.low, expected.high)
    assert answer["people"]["note"] == NOTE
    assert "not show that the person is the cause" in NOTE


def test_two_faces_of_one_picture_are_never_one_person(seen: Seen) -> None:
    known = seen.service.app.state.scorer.people.search(CHANNEL, True)[0].known
    vector = known.centroids[0]
    one, other = known.match(vector[None].repeat(2, axis=0))
    assert one is not None
    assert other is None or other.key != one.key


def test_nothing_about_the_faces_is_stored_or_logged(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    name = seen.people[1]
    seen.ask(seen.pictures[name][1])  # The first request loads and writes more than later requests.
    with seen.lab.engine.connect() as connection:
        counts = [select(func.count()).select_from(table) for table in metadata.sorted_tables]
        before = [connection.scalar(count) for count in counts]
    files = set(seen.lab.settings.data_dir.rglob("*"))
    caplog.set_level(logging.DEBUG)
    answer = seen.ask(seen.pictures[name][2])
    assert answer["people"]["thumbnails"][0]["faces"][0]["person"]["name"] == name
    with seen.lab.engine.connect() as connection:
        assert [connection.scalar(count) for count in counts] == before
    assert set(seen.lab.settings.data_dir.rglob("*")) == files
    assert "/v1/score" in caplog.text
    assert name not in caplog.text


@pytest.mark.parametrize(
    ("settings", "request_", "reason"),
    [
        ({"score_people": False}, {}, None),
        ({}, {"channel": None}, None),
        ({"people": "off"}, {}, "THUMBLAB_PEOPLE is off"),
        ({}, {"channel": "UC" + "x" * 22}, "not one of your own"),
        ({}, {"key": "score"}, "does not have the scope admin"),
        ({"face_embedder": None}, {}, "there is no face embedder"),
        ({"face_model": None}, {}, "there is no face detector"),
    ],
)
def test_no_face_is_embedded_where_nobody_may_be_recognised(
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    request_: dict[str, Any],
    reason: str | None,
) -> None:
    people = seen.service.app.state.scorer.people
    monkeypatch.setattr(people, "_settings", people._settings.model_copy(update=settings))
    if {"face_embedder", "face_model"} & set(settings):
        monkeypatch.setattr(people, "_networks", None)
    if request_.get("key") == "score":
        keys = NamedKeys(seen.lab.settings)
        request_ = {"key": keys.add("plain", ["score"])}
    answer = seen.ask(seen.pictures[seen.people[0]][3], **request_)
    sentences = seen.unsaid(answer)
    assert len(sentences) == (0 if reason is None else 1)
    assert reason is None or reason in sentences[0]
    assert seen.embedded == []
    assert answer["thumbnails"][0]["error"] is None


def test_without_names_or_without_a_database_a_sentence_says_so(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = seen.pictures[seen.people[0]][4]
    with seen.lab.engine.begin() as connection:
        names = connection.execute(text("SELECT cluster_key, name, name_key FROM face_clusters")).all()
        connection.execute(text("UPDATE face_clusters SET name = NULL, name_key = NULL"))
    try:
        assert "no person has a name" in seen.unsaid(seen.ask(picture))[0]
    finally:
        with seen.lab.engine.begin() as connection:
            statement = text(
                "UPDATE face_clusters SET name = :name, name_key = :name_key WHERE cluster_key = :cluster_key"
            )
            connection.execute(statement, [row._asdict() for row in names])

    def refused(_: object) -> None:
        raise NoDatabaseError("the database cannot be reached")

    monkeypatch.setattr(seen.service.app.state.scorer.people._database, "read", refused)
    assert "the database cannot be reached" in seen.unsaid(seen.ask(picture))[0]
    assert seen.embedded == []


def test_a_fault_of_the_network_never_spoils_the_ranking(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: OnnxFaceEmbedder, crops: Any) -> Any:
        raise LabError("broken")

    monkeypatch.setattr(OnnxFaceEmbedder, "embed", broken)
    answer = seen.ask(seen.pictures[seen.people[0]][4])
    assert answer["thumbnails"][0]["error"] is None
    assert answer["people"]["thumbnails"] == [{"id": answer["thumbnails"][0]["id"], "faces": None}]
    assert "1 of the pictures could not be searched for people" in answer["degraded"]


def test_a_person_whose_faces_were_changed_is_named_in_a_sentence_until_the_next_grouping(seen: Seen) -> None:
    with seen.lab.engine.begin() as connection:
        kept = connection.execute(text("SELECT * FROM face_centroids")).all()
        connection.execute(text("DELETE FROM face_centroids WHERE cluster_key = :key"), {"key": kept[0].cluster_key})
    answer = seen.ask(seen.pictures[seen.people[0]][4])
    assert any("1 of the people with a name cannot be recognised" in each for each in answer["degraded"])
    group_faces(seen.lab)
    answer = seen.ask(seen.pictures[seen.people[0]][4])
    assert not any("cannot be recognised" in each for each in answer["degraded"])


@pytest.mark.slow
def test_the_answer_agrees_with_what_the_pipeline_does_with_the_same_pictures(
    seen: Seen, tmp_path: Path, seen_names: Callable[[dict[str, Any]], list[str | None]]
) -> None:
    shown = [data for name in seen.people for data in seen.pictures[name][5:8]]
    said = [name for start in range(0, len(shown), 7) for name in seen_names(seen.ask(*shown[start : start + 7]))]
    for number, data in enumerate(shown):
        (tmp_path / f"{number:02}.png").write_bytes(data)
    add_folder(seen.lab, tmp_path)
    detect_faces(seen.lab)
    assign_faces(seen.lab)
    with seen.lab.engine.connect() as connection:
        found = [faces_of_picture(connection, digest(data)) for data in shown]
    assert said == [faces[0].name for faces in found]
    assert sum(name is not None for name in said) >= KNOWN


@pytest.fixture
def seen_names() -> Callable[[dict[str, Any]], list[str | None]]:
    """Return a function that returns, for each picture of an answer, the name of the only person on the picture."""

    def names(answer: dict[str, Any]) -> list[str | None]:
        people = [candidate["faces"][0]["person"] for candidate in answer["people"]["thumbnails"]]
        return [None if person is None else person["name"] for person in people]

    return names


def test_a_forgotten_person_is_nobody_at_once_and_their_known_face_is_not_embedded(seen: Seen) -> None:
    name = seen.people[0]
    with seen.lab.engine.connect() as connection:
        person = next(each for each in list_clusters(connection).clusters if each.name == name)
        shown = faces_of_cluster(connection, person.id).faces[0].sha256
    picture = seen.lab.images.get(shown)
    assert seen.service.client.delete(f"/api/v1/faces/people/{person.id}").status_code == 200
    answer = seen.ask(picture)
    (face,) = answer["people"]["thumbnails"][0]["faces"]
    assert face["person"] is None
    assert face["problem"] == "a person told the lab to forget this face"
    assert answer["people"]["people"] == []
    assert seen.embedded == []
