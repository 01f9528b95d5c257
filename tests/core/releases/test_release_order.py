"""Test that releases stay in the order of publication, even if the clock is set back between two publications."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from thumblab_core.releases import release_store
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

KIND, SCOPE = "model", "all"
TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def publish(store: ReleaseStore, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Release]:
    """Return a function that publishes a release. During the call, the clock is `days` days ahead of `TODAY`."""

    def publish_at(text: str, days: float, **info: object) -> Release:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Clock":
                return cls.fromtimestamp((TODAY + timedelta(days=days)).timestamp(), tz)

        monkeypatch.setattr(release_store, "datetime", Clock)
        return store.publish(
            KIND, SCOPE, lambda folder: (folder / "a").write_text(text) and None, {"text": text, **info}
        )

    return publish_at


def remove_number(release: Release) -> None:
    """Remove the release's number and the file NUMBER. The releases of older versions of the lab have no number and no
    such file.
    """
    path = release.path / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["number"]
    path.write_text(json.dumps(manifest))
    (release.path.parent / "NUMBER").unlink(missing_ok=True)


def test_a_release_published_after_the_clock_stepped_back_is_the_newest_and_is_not_pruned(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    ahead = [publish(str(n), days=400 + n) for n in range(3)]
    store.serving.promote(ahead[-1])
    new = publish("new", days=0, inputs="x")
    assert store.latest(KIND, SCOPE) == new
    assert store.unchanged(KIND, SCOPE, "x") == new
    assert store.prune(KIND, SCOPE, keep=2) == [ahead[0].release_id, ahead[1].release_id]
    assert store.all(KIND, SCOPE) == [ahead[2], new]


def test_releases_are_ordered_by_publication_even_if_the_clock_jumped(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    for release in (ahead := publish("ahead", days=400), first := publish("first", days=0)):
        store.serving.promote(release)
    assert store.serving.served_before(KIND, SCOPE) == [ahead]
    store.serving.promote(second := publish("second", days=-10))
    assert store.serving.served_before(KIND, SCOPE) == [ahead, first]
    (second.path / "manifest.json").write_text("{")
    assert store.serving.served_before(KIND, SCOPE) == [ahead, first], (
        "the next number is unknown, because the served release cannot be read"
    )


def test_a_number_is_never_given_twice_even_if_the_newest_release_is_removed(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    kept, removed = publish("kept", days=0), publish("gone", days=1)
    store.remove(removed)
    again = publish("again", days=-1)
    assert kept.number < removed.number < again.number < store.mark(KIND, SCOPE)
    (again.path.parent / "NUMBER").write_text("")  # A power cut can leave this file empty.
    assert publish("after", days=-2).number > again.number


def test_releases_without_a_number_are_older_than_releases_with_a_number(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    old = [publish("old", days=400), publish("older", days=399)]
    for release in old:
        remove_number(release)
    new = publish("new", days=0)
    releases = store.all(KIND, SCOPE)
    assert [release.info["text"] for release in releases] == ["older", "old", "new"]
    assert [release.number for release in releases] == [0, 0, new.number]
    for release in releases:
        release.verify()


def test_a_release_restored_from_another_store_keeps_its_number_and_later_releases_are_newer(
    store: ReleaseStore, publish: Callable[..., Release], tmp_path: Path
) -> None:
    for n in range(4):
        foreign = publish(str(n), days=n)
    own = ReleaseStore(tmp_path / "mine")
    own.restore(KIND, SCOPE, foreign.release_id, foreign.path)
    new = own.publish(KIND, SCOPE, lambda folder: None, {})
    assert own.all(KIND, SCOPE)[-1] == new
    assert new.number > foreign.number
