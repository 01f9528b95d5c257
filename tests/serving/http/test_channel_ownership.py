"""Test over HTTP which API keys may change a channel and its experiments, and which keys may read the experiments."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, update

from thumblab_core.channel_imports.import_folder import ImportFolder
from thumblab_core.database.tables import channels
from thumblab_core.keys.named_keys import OWN_KEY, NamedKeys
from thumblab_serving.channels.export_store import ExportStore
from thumblab_serving.keys.key_ring import KeyRing

KEY = "key-of-the-tests-0123456789"
CHANNEL, LAB_OWN, UNKNOWN = ("UC" + letter * 22 for letter in "abc")
Keys = dict[str, str]


@pytest.fixture(scope="module")
def keys(with_database: Any) -> Keys:
    named = NamedKeys(with_database.lab.settings)
    scopes: dict[str, Any] = {"alice": ["score"], "bob": ["score"], "boss": ["score", "admin"]}
    made = {name: named.add(name, of_key) for name, of_key in scopes.items()}
    return made | {"default": KEY}


@pytest.fixture(autouse=True)
def stored_channels(with_database: Any, keys: Keys, engine: Engine) -> None:
    """Store a channel that belongs to Alice's key, and a channel that belongs to the lab."""
    [owner] = [key.owner for key in NamedKeys(with_database.lab.settings).all() if key.name == "alice"]
    with engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Alice cooks", owner=owner))
        connection.execute(insert(channels).values(channel_id=LAB_OWN, title="Collected"))


def store(service: Any, key: str, channel: str, winner: int = 1) -> httpx.Response:
    shares = (0.6, 0.4) if winner == 1 else (0.4, 0.6)
    variants = [{"title": f"Title {n}", "watch_time_share": share} for n, share in enumerate(shares)]
    body = {"channel_id": channel, "video_id": "video_aaaaa", "started_on": "2026-11-01", "outcome": "winner"}
    reply: httpx.Response = service.client.post(
        "/v1/experiments", headers={"X-API-Key": key}, json=body | {"variants": variants}
    )
    return reply


def listed(service: Any, key: str, **query: str) -> list[tuple[str, int]]:
    """Return the channel and the winner of each experiment that a key may read."""
    reply = service.client.get("/v1/experiments", headers={"X-API-Key": key}, params=query)
    return [(one["channel_id"], one["winner"]) for one in reply.json()["experiments"]]


def test_a_key_stores_experiments_of_its_own_channels_only(with_database: Any, keys: Keys) -> None:
    assert store(with_database, keys["alice"], "Alice cooks").status_code == 201
    for key, channel in (
        ("bob", CHANNEL),
        ("bob", "Alice cooks"),
        ("bob", LAB_OWN),
        ("bob", UNKNOWN),
        ("alice", LAB_OWN),
        ("alice", UNKNOWN),
    ):
        reply = store(with_database, keys[key], channel, winner=2)
        assert reply.status_code == 403, (key, channel, reply.text)
        assert reply.json()["type"] == "urn:thumblab:not-your-channel"
        assert "ask the lab's owner to store the experiment with `thumblab experiment add`" in reply.json()["detail"]
    assert listed(with_database, KEY) == [(CHANNEL, 1)]
    assert store(with_database, keys["alice"], CHANNEL, winner=2).json()["state"] == "changed"


def test_the_lab_stores_experiments_of_every_channel(with_database: Any, keys: Keys) -> None:
    for channel in (CHANNEL, LAB_OWN, UNKNOWN):
        assert store(with_database, keys["boss"], channel).status_code == 201
        assert store(with_database, keys["default"], channel, winner=2).json()["state"] == "changed"


def test_a_key_does_not_see_the_experiments_of_channels_of_other_keys(with_database: Any, keys: Keys) -> None:
    for channel in (CHANNEL, LAB_OWN, UNKNOWN):
        store(with_database, KEY, channel)
    every = [(UNKNOWN, 1), (LAB_OWN, 1), (CHANNEL, 1)]
    assert listed(with_database, keys["boss"]) == listed(with_database, keys["alice"]) == every
    assert listed(with_database, keys["bob"]) == every[:2]
    assert listed(with_database, keys["bob"], channel_id="Alice cooks") == []


def test_a_rotated_key_keeps_its_channels_and_a_new_key_with_a_revoked_name_gets_no_channel(
    with_database: Any, engine: Engine
) -> None:
    named = NamedKeys(with_database.lab.settings)
    named.add("carol", ["score"])
    [owner] = [key.owner for key in named.all() if key.name == "carol"]
    with engine.begin() as connection:
        connection.execute(update(channels).where(channels.c.channel_id == LAB_OWN).values(owner=owner))
    assert store(with_database, named.rotate("carol"), LAB_OWN).status_code == 201
    named.revoke("carol")
    assert store(with_database, named.add("carol", ["score"]), LAB_OWN).status_code == 403
    assert store(with_database, KEY, LAB_OWN).status_code == 200


def test_the_service_writes_into_the_folder_of_an_import_whose_channels_it_may_change(
    with_database: Any, keys: Keys
) -> None:
    """Check which key may change the channels of an import. A file in the folder of the import says which key may.

    The import's job reads the key from this file, and not from the config of its run, because anybody who has access
    to Dagster can write a config.
    """
    settings = with_database.lab.settings
    ring, exports = KeyRing(settings), ExportStore(settings)
    acts_for = {}
    for name, key in keys.items():
        grant = ring.find(key)
        assert grant is not None
        assert ring.acts_for(grant.owner) == grant.acts_for
        stored, _ = exports.add([("a.csv", b"")], grant.owner, grant.acts_for is None)
        facts = ImportFolder(settings.data_dir, stored.folder.import_id).facts()
        assert facts is not None
        acts_for[name] = facts.acts_for
        exports.remove(stored)
    owners = {key.name: key.owner for key in NamedKeys(settings).all()}
    assert acts_for == {"alice": owners["alice"], "bob": owners["bob"], "boss": None, "default": None}
    assert ring.acts_for("nobody") == "nobody"
    assert OWN_KEY not in owners


@pytest.mark.parametrize("name", ["Carol\u202ebakes", "Carol\u200bbakes", "Carol\u2028bakes"])
def test_a_title_with_invisible_characters_is_refused_before_anything_is_stored(
    with_database: Any, keys: Keys, name: str
) -> None:
    files = [("exports", ("a.csv", b"Content,Video title\n", "text/csv"))]
    reply = with_database.client.post(
        "/v1/channels", headers={"X-API-Key": keys["bob"]}, data={"name": name}, files=files
    )
    assert reply.status_code == 422
    assert "name: it has characters that are invisible or change the direction of text" in reply.json()["detail"]
