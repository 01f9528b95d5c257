"""Tests of a database clock that steps back. New builds are still served, and no request for a rebuild is lost."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from library_helpers import serve_index
from pydantic import SecretStr
from sqlalchemy import Connection, func, select, update

from thumblab_core.database.tables import index_rebuilds, video_stats, videos
from thumblab_core.durable_files import age
from thumblab_core.image_store import ImageFolder
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build, changes, rows
from thumblab_pipelines.library.changes import put_in, take_out
from thumblab_pipelines.library.rebuild_requests import open_rebuild_requests, request_rebuild
from thumblab_pipelines.library.status import index_status

NICHE = "tech"


@pytest.fixture
def lab(small: Any, open_lab: Callable[..., Lab], copied_database: Callable[[str], str], tmp_path: Path) -> Lab:
    """A lab with one niche whose index is built and served."""
    small.lab.engine.dispose()
    url = copied_database(small.lab.engine.url.render_as_string(hide_password=False))
    lab = open_lab(data_dir=tmp_path / "lab", database_url=SecretStr(url))
    shutil.copytree(small.lab.settings.images, lab.settings.images, dirs_exist_ok=True)
    serve_index(lab, NICHE)
    return lab


@pytest.fixture
def step_back(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the time that the lab reads from the database back by `hours` hours."""
    real = rows.now

    def step(hours: float) -> None:
        def now(connection: Connection) -> datetime:
            return real(connection) - timedelta(hours=hours)

        for module in (rows, build, changes):
            monkeypatch.setattr(module, "now", now)

    return step


def more_views(lab: Lab) -> None:
    with lab.engine.begin() as connection:
        connection.execute(update(video_stats).values(view_count=video_stats.c.view_count + 1000))


def ids(lab: Lab) -> list[str]:
    of_niche = select(videos.c.video_id).where(videos.c.niche == NICHE).order_by(videos.c.video_id)
    with lab.engine.connect() as connection:
        return list(connection.scalars(of_niche))


def served(lab: Lab) -> NicheIndex:
    release = lab.releases.serving.current(INDEX, NICHE)
    assert release is not None
    return NicheIndex.load(release)


def test_a_build_made_after_the_clock_stepped_back_is_served(lab: Lab, step_back: Callable[[float], None]) -> None:
    step_back(48)
    more_views(lab)
    built = build.build_index(lab, NICHE).release
    assert f"{built.release_id} is built but not served" in index_status(lab, NICHE).remarks
    assert build.promote_index(lab, NICHE).release == built
    step_back(96)
    changed = take_out(lab, NICHE, ids(lab)[:1]).release
    assert changed is not None
    assert build.promote_index(lab, NICHE).release == changed
    assert all(check.passed for check in build.check_served_index(lab, built))


def test_a_video_put_in_during_a_build_is_in_it_although_the_clock_stepped_back(
    lab: Lab, step_back: Callable[[float], None]
) -> None:
    video = ids(lab)[0]
    more_views(lab)
    build.build_index(lab, NICHE)
    step_back(48)
    with lab.engine.begin() as connection:
        connection.execute(update(video_stats).where(video_stats.c.video_id == video).values(view_count=987_654_321))
    put_in(lab, NICHE, [video])
    build.promote_index(lab, NICHE)
    index = served(lab)
    assert index.search(index.vector_of(video), 1)[0].item.views_per_hour > 10_000


def test_a_request_is_closed_only_by_a_build_that_began_after_it(lab: Lab, step_back: Callable[[float], None]) -> None:
    request_rebuild(lab, NICHE, "asked by a clock that was two days ahead")
    step_back(48)
    more_views(lab)
    build.build_index(lab, NICHE)
    with lab.engine.begin() as connection:
        connection.execute(
            update(index_rebuilds).values(
                asked_at=func.now() - timedelta(days=9), reason="asked again, by a clock behind"
            )
        )
    build.promote_index(lab, NICHE)
    assert [request.reason for request in open_rebuild_requests(lab)] == ["asked again, by a clock behind"]
    more_views(lab)
    build.build_index(lab, NICHE)
    build.promote_index(lab, NICHE)
    assert open_rebuild_requests(lab) == []


def test_a_file_dated_in_the_future_ages_from_the_moment_it_is_found(
    tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    images = ImageFolder(tmp_path)
    path = images.path(images.put(drawn()))
    os.utime(path, (time.time() + 1e8,) * 2)
    assert images.remove_unnamed((), 3_600) == 0
    assert 0 <= age(path) < 60
    os.utime(path, (time.time() - 4_000,) * 2)
    assert images.remove_unnamed((), 3_600) == 1
