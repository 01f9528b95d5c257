"""Hooks of Schemathesis: make valid requests follow the rules that an OpenAPI document cannot express.

Schemathesis takes every request that fits the document for valid. Some rules depend on several fields, on today's date
or on the contents of a picture. Requests that break only such a rule are rightly refused, and other tests cover them. So
the hooks change these requests. Requests that are meant to be invalid stay as they are.
"""

import base64
import re
from datetime import UTC, date, datetime
from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis_pictures import drawn_pictures

from thumblab_serving.schemas.title import visible_title

CHANNEL = "UCBJycsmduvYEL83R_U4JriQ"
PICTURES = drawn_pictures(3)


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out valid forms that break a rule: a form with files cannot be repaired here.

    An experiment in a form is JSON in a text field, and Schemathesis fills this field with any text.
    """
    if not is_valid(case) or case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    title = case.body.get("title")
    return case.operation.path == "/v1/score" and "titles" not in case.body and title and visible(title) == title


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Repair a valid query or JSON body. Schemathesis checks once more that they fit the document."""
    if not is_valid(case):
        return
    if (case.method.upper(), case.operation.path) == ("GET", "/v1/experiments") and "channel_id" in case.query:
        case.query["channel_id"] = CHANNEL
    if isinstance(case.body, dict) and case.media_type == "application/json":
        repairs = {"/v1/score": scoring_request, "/v1/experiments": experiment}
        if case.operation.path in repairs:
            case.body = repairs[case.operation.path](case.body)


def is_valid(case: schemathesis.Case) -> bool:
    """Return whether a request is meant to fit the document."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def scoring_request(body: dict[str, Any]) -> dict[str, Any]:
    """Give the candidates distinct ids, and make the title visible."""
    repaired = body | {"title": visible(body.get("title") or "A title")}
    repaired.pop("titles", None)
    if "thumbnails" in body and isinstance(body["thumbnails"][0], dict):
        seen: set[str] = set()
        repaired["thumbnails"] = []
        for number, thumbnail in enumerate(body["thumbnails"]):
            id_ = f"another {number}" if thumbnail["id"] in seen else thumbnail["id"]
            seen.add(id_)
            repaired["thumbnails"].append(thumbnail | {"id": id_})
    return repaired


def experiment(body: dict[str, Any]) -> dict[str, Any]:
    """Make the variants, the outcome, the days, the channel and the video agree with each other and with YouTube."""
    variants = [{k: v for k, v in given.items() if k == "impressions"} for given in body["variants"]]
    for number, variant in enumerate(variants):
        variant["image_base64"] = base64.b64encode(PICTURES[number]).decode()
        if all(isinstance(given.get("title"), str) for given in body["variants"]):
            variant["title"] = visible(body["variants"][number]["title"])
        if all(given.get("watch_time_share") is not None for given in body["variants"]):
            variant["watch_time_share"] = 100 / len(variants)
    repaired = body | {"variants": variants}
    if body["outcome"] != "winner":
        repaired["winner"] = None
    elif (body.get("winner") or len(variants) + 1) > len(variants):
        repaired["winner"] = 1
    first = day_of(body["started_on"]) or date(2026, 11, 1)
    last = day_of(body.get("ended_on"))
    repaired["started_on"] = first.isoformat()
    repaired["ended_on"] = last.isoformat() if last is not None and 0 <= (last - first).days <= 366 else None
    if re.fullmatch(r"UC[\w-]{22}", body["channel_id"], re.ASCII) is None:
        repaired["channel_id"] = CHANNEL
    if re.fullmatch(r"[\w-]{11}", body["video_id"], re.ASCII) is None:
        repaired["video_id"] = "dQw4w9WgXcQ"
    return repaired


def day_of(text: str | None) -> date | None:
    """Return the day, or None if it is no day on which YouTube had experiments."""
    if not text:
        return None
    day = date.fromisoformat(text)
    return day if date(2005, 2, 14) <= day < datetime.now(UTC).date() else None


def visible(title: str) -> str:
    """Return the title, or another one if nothing of the title can be seen."""
    try:
        visible_title(title)
    except ValueError:
        return "A title"
    return title
