"""Test `thumblab similar`, the Python client and the MCP tool against a running service.

Also test `thumblab similar` without a running service.
"""

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from thumblab_cli.main import cli
from thumblab_client import AsyncClient, Client, InvalidRequestError
from thumblab_client.mcp_server.server import build
from thumblab_core.settings import settings

KEY = "key-of-the-tests-0123456789"


@pytest.fixture
def thumblab(looked: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    lab = looked.lab.settings
    variables = {"DATA_DIR": str(lab.data_dir), "API_KEY": KEY, "IMAGE_ENCODER": "builtin"}
    variables |= {"SERVING_URL": looked.service.url, "DATABASE_URL": lab.database_url.get_secret_value()}

    def run(*arguments: object) -> Any:
        for name, value in variables.items():
            monkeypatch.setenv(f"THUMBLAB_{name}", value)
        settings.cache_clear()
        return CliRunner().invoke(cli, ["similar", *map(str, arguments)])

    return run


def test_the_clients_ask_for_all_kinds_of_queries(looked: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(looked.data.pictures[7])
    with Client(looked.service.url, KEY) as client:
        by_file = client.similar(picture=path, k=3, diversity=0.0, published_after=date(2026, 9, 1))
        by_vector = client.similar(vector=looked.data.vectors[7], k=3, diversity=0.0)
        by_text = client.similar(text="How to bake bread", k=2, niche="tech")
        video = client.video("v7")
        with pytest.raises(InvalidRequestError, match="give exactly one"):
            client.similar()
    assert [item.video_id for item in by_file.items] == [item.video_id for item in by_vector.items]
    assert by_text.query.matched_by == "title"
    assert [near.video_id for near in video.neighbours[:2]] == [item.video_id for item in by_vector.items[1:]]

    async def ask() -> Any:
        async with AsyncClient(looked.service.url, KEY) as client:
            return await client.similar(video_id="v7", k=1), await client.video("v7")

    similar, same = asyncio.run(ask())
    assert len(similar.items) == 1
    assert same == video


def test_the_command_prints_what_the_service_answers(looked: Any, thumblab: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(looked.data.pictures[7])
    by_picture = thumblab("--image", path, "--niche", "tech", "-k", 3, "--json", "--diversity", 0)
    assert by_picture.exit_code == 0, by_picture.output
    answer = json.loads(by_picture.stdout)
    assert answer["items"][0]["video_id"] == "v7"
    lines = thumblab("--video", "v7", "-k", 4, "--since", "2026-09-20", "--min-multiple", 2).stdout.splitlines()
    assert len(lines) == 4
    assert all("Channel" in line and "x, " in line for line in lines)
    unknown = thumblab("--video", "nobody")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "the lab does not know this video" in unknown.stderr
    assert "exactly one" in thumblab("--video", "v1", "--text", "a").stderr
    assert "cannot be read" in thumblab("--image", tmp_path / "none.jpg").stderr


def test_the_command_searches_in_its_own_process(looked: Any, thumblab: Any) -> None:
    of_service = json.loads(thumblab("--video", "v7", "--json").stdout)
    here = thumblab("--video", "v7", "--json", "--local")
    assert here.exit_code == 0, here.output
    assert json.loads(here.stdout) == of_service


def test_the_mcp_tool_gives_the_videos_and_the_release(looked: Any) -> None:
    server = build(lambda: AsyncClient(looked.service.url, KEY))
    result = asyncio.run(server.call_tool("search_library", {"video_id": "v7", "niche": "tech"}))
    found = result.structured_content
    assert len(found["videos"]) == 10
    assert found["index_releases"] == {"tech": looked.release.release_id}
