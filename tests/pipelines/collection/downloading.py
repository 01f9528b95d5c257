"""Helpers for the tests that download thumbnails."""

import io
from datetime import timedelta
from typing import Any

import pytest
from lab_setup import at
from PIL import Image
from sqlalchemy import select, update

from demo.emulator import Emulator
from demo.messages import Reply, Request
from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_pipelines.lab import Lab

SIZES = ("maxresdefault", "sddefault", "hqdefault", "mqdefault", "default")


def move(lab: Lab, emulator: Emulator, sizes: tuple[str, ...] = SIZES, **settings: Any) -> Lab:
    """Let the thumbnail URLs of the lab's videos point to `emulator`, and mark the videos as just refreshed.

    Return the lab with settings that make it call `emulator` instead of YouTube.
    """
    with lab.engine.begin() as connection:
        for name in video_ids(lab):
            urls = [f"{emulator.endpoint}vi/{name}/{size}.jpg" for size in sizes]
            values = {"thumbnail_urls": urls, "refreshed_at": emulator.now}
            connection.execute(update(videos).where(videos.c.video_id == name).values(values))
    return at(lab, emulator, **settings)


def later(lab: Lab, emulator: Emulator, **by: float) -> None:
    """Advance the emulator's clock by `by`, such as `days=8`. Then mark all videos as refreshed at the new time."""
    emulator.advance(timedelta(**by))
    with lab.engine.begin() as connection:
        connection.execute(update(videos).values(refreshed_at=emulator.now))


def versions(lab: Lab, name: str) -> list[Any]:
    """Return the thumbnail versions of the video, the earliest first."""
    statement = select(thumbnail_versions).where(thumbnail_versions.c.video_id == name)
    with lab.engine.connect() as connection:
        return list(connection.execute(statement.order_by(thumbnail_versions.c.first_seen)))


def row_of(lab: Lab, name: str) -> Any:
    return next(row for row in rows(lab) if row.video_id == name)


def encoded_anew(data: bytes, quality: int = 60) -> bytes:
    """Return the picture, encoded again as a JPEG of the given quality."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def asked(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the emulator adds the path of each request."""
    paths: list[str] = []
    real = emulator.respond

    def respond(request: Request) -> Reply:
        paths.append(request.path)
        return real(request)

    monkeypatch.setattr(emulator, "respond", respond)
    return paths


def rows(lab: Lab) -> list[Any]:
    with lab.engine.connect() as connection:
        return list(connection.execute(select(thumbnails).order_by(thumbnails.c.video_id)))


def video_ids(lab: Lab) -> list[str]:
    with lab.engine.connect() as connection:
        return list(connection.scalars(select(videos.c.video_id).order_by(videos.c.video_id)))
