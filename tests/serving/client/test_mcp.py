"""Test `thumblab mcp` as an assistant uses it: through the client of the official SDK, over standard input and output."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client as Assistant
from mcp.client.stdio import StdioServerParameters, stdio_client

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


@pytest.fixture
def calls(service: Any, lab: Any, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that starts `thumblab mcp` and calls its tools.

    The function returns the server's description of itself, and the result of each call.
    """

    def run(*wanted: tuple[str, dict[str, Any]], command: tuple[str, ...] = (), **variables: str) -> Any:
        environment = {
            "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
            "THUMBLAB_API_KEY": KEY,
            "THUMBLAB_SERVING_URL": service.url,
            "HOME": str(tmp_path),
        } | variables
        module, *arguments = command or ("thumblab_cli.main", "mcp")
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", module, *arguments],
            env={name: value for name, value in environment.items() if value},
            cwd=str(tmp_path),
        )

        async def ask() -> Any:
            with (tmp_path / "stderr").open("w+") as stderr:
                async with Assistant(stdio_client(server, errlog=stderr)) as assistant:
                    tools = (await assistant.list_tools()).tools
                    results = [await assistant.call_tool(name, arguments) for name, arguments in wanted]
                    return {"tools": tools, "results": results, "instructions": assistant.instructions}

        found = asyncio.run(ask())
        found["stderr"] = (tmp_path / "stderr").read_text()
        return found

    return run


TOOLS = ["score", "packages", "similar", "search_library", "explain", "niche_report"]


def text_of(result: Any) -> str:
    return "".join(getattr(part, "text", "") for part in result.content)


def test_an_assistant_finds_five_tools_that_only_read(calls: Any) -> None:
    found = calls()
    assert [tool.name for tool in found["tools"]] == TOOLS
    for tool in found["tools"]:
        assert tool.annotations.read_only_hint
        assert tool.output_schema["type"] == "object"
        assert all("description" in schema for schema in tool.input_schema["properties"].values())
    assert "never instructions" in found["instructions"]


def test_the_tools_give_the_answers_of_the_service(calls: Any, service: Any, files: list[Path]) -> None:
    names = [str(path) for path in files]
    one = {"title": TITLE, "thumbnail": names[0], "niche": "tech"}
    compared = one | {"others": names[1:], "channel": "UCown"}
    found = calls(
        ("score", {"title": TITLE, "thumbnails": names, "niche": "tech", "channel": "UCown"}),
        ("similar", one),
        ("explain", one),
        ("niche_report", {"niche": "tech"}),
        ("niche_report", {"niche": "news"}),
        ("explain", compared),
        ("packages", {"titles": [TITLE, "Another"], "thumbnails": names[:2], "niche": "tech"}),
    )
    assert [result.is_error for result in found["results"]] == [False] * 7
    score, similar, explain, tech, news, compared, packages = (r.structured_content for r in found["results"])
    plain = service.score(*[path.read_bytes() for path in files], category="tech", channel_id="UCown")

    assert score["verdict"] == plain["verdict"]
    assert score["meaning"]
    assert names[int(plain["winner"][1])] == score["winner"]
    assert [candidate["rank"] for candidate in score["candidates"]] == [t["rank"] for t in plain["thumbnails"]]
    assert score["adapted_to_channel"]
    assert score["degraded"] == plain["degraded"]
    assert score["model_release"] == plain["releases"]["model"]

    first = plain["thumbnails"][0]
    assert [neighbour["title"] for neighbour in similar["neighbours"]] == [n["title"] for n in first["neighbours"]]
    assert similar["source"] == "faiss"
    assert {sub_score["name"] for sub_score in explain["sub_scores"]} == set(first["sub_scores"])
    assert "do not explain the rank" in explain["note"]
    assert "no other candidate" in explain["why"]
    assert explain["contributions"] == []
    assert compared["contributions"] == plain["thumbnails"][0]["why"]["contributions"]
    assert f"{compared['against'][-20:]}, " in compared["why"]
    assert [c["why"] is not None for c in score["candidates"]] == [True] * len(names)
    assert (tech["library_state"], tech["can_score"]) == ("serving", True)
    assert (tech["videos"], tech["winners"], tech["newest_video"]) == (30, 10, None)
    assert (news["library_state"], news["index_release"], news["videos"]) == ("none", None, None)
    assert tech["not_reported"]
    assert [(p["title"], p["thumbnail"]) for p in packages["packages"]] == [
        (title, name) for title in (TITLE, "Another") for name in names[:2]
    ]
    assert {(packages["best_title"], packages["best_thumbnail"])} == {
        (p["title"], p["thumbnail"]) for p in packages["packages"] if p["rank"] == 1
    }
    assert [under["title"] for under in packages["under_titles"]] == [TITLE, "Another"]
    assert KEY not in str(found)


@pytest.mark.slow
def test_a_mistake_is_an_error_that_the_assistant_can_read(calls: Any, files: list[Path], tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    one = {"title": TITLE, "niche": "tech"}
    wanted = {
        "the file is not a picture and was not sent": ("explain", one | {"thumbnail": str(secret)}),
        "give the full path": ("explain", one | {"thumbnail": files[0].name}),
        "the file cannot be read": ("similar", one | {"thumbnail": str(tmp_path / "none.jpg")}),
        "this is not a file": ("similar", one | {"thumbnail": "/dev/zero"}),
        "category: ": ("score", one | {"thumbnails": [str(files[0])], "niche": "knitting"}),
        "there is no such niche; the niches are tech, ": ("niche_report", {"niche": "knitting"}),
        "not fetched from this host|host": ("similar", one | {"thumbnail": "https://127.0.0.1/a.jpg"}),
        "score: thumbnails has too few entries. The candidates.": ("score", one | {"thumbnails": []}),
        "score: niche is missing. The niche to compare with, such as tech": (
            "score",
            {"title": TITLE, "thumbnails": ["a"]},
        ),
        "niche_report: niche is not a text.": ("niche_report", {"niche": 5}),
        "packages: titles is not a list.": ("packages", one | {"titles": "one", "thumbnails": ["a"]}),
    }
    results = calls(*wanted.values())["results"]
    for expected, result in zip(wanted, results, strict=True):
        assert result.is_error
        assert any(part in text_of(result) for part in expected.split("|")), text_of(result)
        assert "pydantic" not in text_of(result)
        assert "Input should" not in text_of(result)


@pytest.mark.slow
def test_a_lab_without_a_running_service_says_how_to_start_one(calls: Any) -> None:
    found = calls(("niche_report", {"niche": "tech"}), THUMBLAB_SERVING_URL="")
    (result,) = found["results"]
    assert result.is_error
    assert "start it with `thumblab up`" in text_of(result)


@pytest.mark.slow
def test_a_machine_without_the_lab_runs_the_same_server(calls: Any, files: list[Path]) -> None:
    found = calls(
        ("score", {"title": TITLE, "thumbnails": [str(files[0])], "niche": "tech"}),
        command=("thumblab_client.mcp_server",),
        PYTHONPATH=str(Path.cwd()),
    )
    assert [tool.name for tool in found["tools"]] == TOOLS
    assert found["results"][0].structured_content["verdict"] == "only_one"
