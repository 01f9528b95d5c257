"""Promises of what is newer: releases are in the order in which they were published, whatever the clock said."""

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
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture
def publish(store: ReleaseStore, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Release]:
    """Publishes a release by a clock that shows so many days after today."""

    def one(text: str, days: float, **info: object) -> Release:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Clock":
                return cls.fromtimestamp((TODAY + timedelta(days=days)).timestamp(), tz)

        monkeypatch.setattr(release_store, "datetime", Clock)
        return store.publish(
            KIND, SCOPE, lambda folder: (folder / "a").write_text(text) and None, {"text": text, **info}
        )

    return one


def without_numbers(release: Release) -> None:
    """As the releases that were made before there were numbers."""
    path = release.path / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["number"]
    path.write_text(json.dumps(manifest))
    (release.path.parent / "NUMBER").unlink(missing_ok=True)


def test_after_the_clock_stepped_back_what_is_published_is_the_newest_and_no_prune_takes_it(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    ahead = [publish(str(n), days=400 + n) for n in range(3)]
    store.serving.promote(ahead[-1])
    new = publish("new", days=0, inputs="x")
    assert store.latest(KIND, SCOPE) == new
    assert store.unchanged(KIND, SCOPE, "x") == new
    assert store.prune(KIND, SCOPE, keep=2) == [ahead[0].release_id, ahead[1].release_id]
    assert store.all(KIND, SCOPE) == [ahead[2], new]


def test_a_step_back_leads_to_what_was_published_before_and_not_to_what_an_earlier_clock_says(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    for release in (ahead := publish("ahead", days=400), first := publish("first", days=0)):
        store.serving.promote(release)
    assert store.serving.served_before(KIND, SCOPE) == [ahead]
    store.serving.promote(second := publish("second", days=-10))
    assert store.serving.served_before(KIND, SCOPE) == [ahead, first]
    (second.path / "manifest.json").write_text("{")
    assert store.serving.served_before(KIND, SCOPE) == [ahead, first], (
        "of a served release that cannot be read nobody knows the number"
    )


def test_a_number_is_never_given_twice_also_when_the_newest_release_is_gone(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    kept, gone = publish("kept", days=0), publish("gone", days=1)
    store.remove(gone)
    again = publish("again", days=-1)
    assert kept.number < gone.number < again.number < store.mark(KIND, SCOPE)
    (again.path.parent / "NUMBER").write_text("")  # cut off by a power cut
    assert publish("after", days=-2).number > again.number


def test_releases_without_a_number_are_read_and_are_older_than_those_that_have_one(
    store: ReleaseStore, publish: Callable[..., Release]
) -> None:
    old = [publish("old", days=400), publish("older", days=399)]
    for release in old:
        without_numbers(release)
    new = publish("new", days=0)
    found = store.all(KIND, SCOPE)
    assert [release.info["text"] for release in found] == ["older", "old", "new"]
    assert [release.number for release in found] == [0, 0, new.number]
    for release in found:
        release.verify()


def test_a_release_that_comes_from_another_store_keeps_its_number_and_what_is_published_then_is_newer(
    store: ReleaseStore, publish: Callable[..., Release], tmp_path: Path
) -> None:
    for n in range(4):
        theirs = publish(str(n), days=n)
    mine = ReleaseStore(tmp_path / "mine")
    mine.restore(KIND, SCOPE, theirs.release_id, theirs.path)
    new = mine.publish(KIND, SCOPE, lambda folder: None, {})
    assert mine.all(KIND, SCOPE)[-1] == new
    assert new.number > theirs.number
