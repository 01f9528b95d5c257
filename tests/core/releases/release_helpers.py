"""Make and read releases for the tests of the release store."""

from collections.abc import Callable
from pathlib import Path

from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

KIND, SCOPE = "index", "tech"


def writer(text: str, size: int = 1_000) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.bin").write_bytes(text.encode() * size)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").write_text(text)

    return write


def publish(store: ReleaseStore, text: str = "x", **info: object) -> Release:
    return store.publish(KIND, SCOPE, writer(text), {"text": text, **info})


def serve(store: ReleaseStore, text: str) -> Release:
    release = publish(store, text)
    store.serving.promote(release)
    return release


def text_of(release: Release) -> str:
    return (release.path / "sub" / "b.txt").read_text()


def left_over(store: ReleaseStore) -> list[str]:
    return sorted(p.name for p in (store.root / KIND / SCOPE).iterdir() if p.name.startswith((".staging-", ".aside-")))
