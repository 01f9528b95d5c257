"""Fixtures: a lab without videos, exports of YouTube Studio, and the signed-in owner of a channel."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from reach_owner import CLIENT_SECRET, REFRESH_TOKEN, Owner
from studio_exports import COLUMNS, csv_text

from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, reach_reports, video_reach, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(video_reach, reach_reports, videos, channels)


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an export of YouTube Studio from rows, text or bytes, and returns the path of the file."""

    def write(content: Any, columns: Sequence[str] = COLUMNS, name: str = "Table data.csv") -> Path:
        if isinstance(content, list):
            content = csv_text(content, columns)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def credentials_file(tmp_path: Path) -> Path:
    path = tmp_path / "owner.json"
    fields = {"client_id": "id.apps", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
    path.write_text(json.dumps({"type": "authorized_user", **fields}))
    return path


@pytest.fixture
def owner(lab: Lab, open_lab: Callable[..., Lab], credentials_file: Path) -> Iterator[Owner]:
    with Emulator(synthetic_catalogue(videos=60), refresh_token=REFRESH_TOKEN) as emulator:
        chosen = {"youtube_endpoint": emulator.endpoint, "youtube_owner_credentials": credentials_file}
        yield Owner(open_lab(beside=lab, youtube_first_wait_s=0.0, **chosen), emulator)
