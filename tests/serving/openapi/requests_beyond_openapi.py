"""Hooks of Schemathesis: make valid requests obey the rules that an OpenAPI document cannot express.

Schemathesis treats every request that fits the document as valid. Some rules depend on several fields, on today's date
or on the contents of a picture. The service must refuse a request that breaks such a rule, as other tests check. The
hooks therefore change these requests. Requests that are meant to be invalid stay as they are.
"""

import base64
import re
from datetime import UTC, date, datetime
from typing import Any

import schemathesis
from known_video import CHANNEL, VIDEO
from schemathesis import GenerationMode
from schemathesis_pictures import drawn_pictures

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.errors import LabError
from thumblab_core.index.factories import check_factory
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.people.names import clean_name
from thumblab_serving.schemas.title import visible_title

WEBHOOK = "https://webhooks.invalid/done"
"""A URL on the host to which the tested service may send webhooks."""

DIMENSION = BuiltinEncoder().dimension
"""The length of the vectors of the tested service."""

PICTURES = drawn_pictures(3)

NICHE = DEFAULT_NAMES[0]
"""A niche of the tested service. `before_call` changes each request that would retire this niche."""


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out some forms.

    A form may be valid by the document and still break a rule. Such a form is left out, because it cannot be repaired:
    Schemathesis cannot check the repaired form again, and would treat it as invalid. All forms with an experiment are
    left out, because the experiment is JSON in a text field, and Schemathesis fills this field with any text.

    Other forms are meant to be invalid, but the service receives them as valid forms. They are left out too.
    """
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    if not is_valid(case):
        return not may_arrive_as_valid(case.body)
    if case.operation.path == "/v1/similar":
        return similar_form(case.body) == case.body
    return case.operation.path == "/v1/score" and scoring_form(case.body) == case.body


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Repair a valid query or JSON body. Schemathesis checks again that the repaired request fits the document."""
    if case.operation.path == "/api/v1/niches/{name}/retire" and case.path_parameters.get("name") in DEFAULT_NAMES:
        case.path_parameters["name"] = "cooking"  # Do not retire a niche that other requests need.
    if not is_valid(case):
        return
    if (case.method.upper(), case.operation.path) == ("GET", "/v1/experiments") and "channel_id" in case.query:
        case.query["channel_id"] = CHANNEL
    if (case.method.upper(), case.operation.path) == ("GET", "/v1/similar"):
        case.query.update(niches_known(in_order(dict(case.query))))
    if isinstance(case.body, dict) and case.media_type == "application/json":
        repaired = niches_known(REPAIRS.get(case.operation.path, dict)(case.body))
        if repaired != case.body:
            case.body = repaired
    elif case.media_type == "multipart/form-data" and case.operation.path == "/v1/score":
        # Schemathesis makes a form from the examples in the document. The service refuses this form because of `title`
        # and `titles` together. Schemathesis does not call `filter_case` for this form, so the next lines repair it.
        repaired = scoring_form(case.body)
        if repaired != case.body:
            case.body = repaired


def is_valid(case: schemathesis.Case) -> bool:
    """Return whether a request is meant to fit the OpenAPI document."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def may_arrive_as_valid(form: dict[str, Any]) -> bool:
    """Return whether a form that Schemathesis treats as invalid can become valid when it is sent as texts and files.

    A form has only texts and files. An object or a number in place of a list of titles therefore arrives as one title.
    Null and an empty list are not sent at all, and every field but `thumbnails` may be missing.
    """
    is_left_out = any(form[name] is None or form[name] == [] for name in form if name != "thumbnails")
    is_one_title = any(not isinstance(form.get(name, []), list) for name in ("titles", "thumbnail_titles"))
    return is_left_out or is_one_title


def scoring_request(body: dict[str, Any]) -> dict[str, Any]:
    """Give the candidates distinct ids, and distinct titles with visible characters."""
    thumbnails = [own_title_visible(thumbnail) for thumbnail in body["thumbnails"]]
    return niches_known(titles_visible(body)) | {"thumbnails": distinct_ids(thumbnails)}


def scoring_form(body: dict[str, Any]) -> dict[str, Any]:
    """Make the titles distinct, with visible characters. If there are titles of single files, send one title for each
    file.

    Schemathesis cannot check conditions over several fields of a form with files. This function therefore also removes
    one of two fields that exclude each other, and adds a title if there is none.
    """
    repaired = dict(body)
    if "titles" in body:
        repaired.pop("title", None)
    elif "title" not in body:
        repaired["title"] = "A title"
    if "categories" in body:
        repaired.pop("category", None)
    if "thumbnail_titles" in body:
        own = [title and visible(title) for title in body["thumbnail_titles"]]
        count = len(body["thumbnails"])
        repaired["thumbnail_titles"] = [*own, *[""] * count][:count]
    return niches_known(titles_visible(repaired))


def similar_request(body: dict[str, Any]) -> dict[str, Any]:
    """Give the query a vector, a text or a picture that the tested service can use.

    Swap the first and the last day of publication if they are in the wrong order.
    """
    repaired = in_order(body)
    if body.get("vector") is not None:
        repaired["vector"] = [1.0, *[0.0] * (DIMENSION - 1)]
    if body.get("text") is None:
        repaired.pop("text_by", None)
    else:
        repaired["text"] = visible(body["text"])
        repaired["text_by"] = "title"  # The image encoder of the tested service has no text tower.
    if body.get("url") is not None:
        repaired["url"] = None
    if body.get("url") is not None or body.get("image_base64") is not None:
        repaired["image_base64"] = base64.b64encode(PICTURES[0]).decode()
    return repaired


def similar_form(body: dict[str, Any]) -> dict[str, Any]:
    """Send a picture that can be read. Swap the first and the last day if they are in the wrong order."""
    return niches_known(in_order(body)) | {"picture": PICTURES[0]}


def niches_known(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the niches with niches of the lab. The OpenAPI document states only the form of a niche's name."""
    repaired = dict(body)
    for name in ("niche", "category"):
        if isinstance(body.get(name), str) and body[name] not in DEFAULT_NAMES:
            repaired[name] = NICHE
    for name in ("niches", "categories"):
        if isinstance(body.get(name), list) and not set(body[name]) <= set(DEFAULT_NAMES):
            repaired[name] = list(DEFAULT_NAMES[: len(body[name])])
    return repaired


def niche_sources(body: dict[str, Any]) -> dict[str, Any]:
    """Give a niche texts and codes with which the lab can search.

    A niche must have a category, a search or a channel. If it has none, add a search.
    """
    repaired = dict(body)
    for name, value in (("region", "AU"), ("language", "en")):
        if body.get(name) is not None:
            repaired[name] = value
    for name, values in (("searches", ["bread"]), ("channels", [CHANNEL]), ("exclude", ["prank"])):
        if body.get(name):
            repaired[name] = values
    if body.get("category_id") is None and not body.get("searches") and not body.get("channels"):
        repaired["searches"] = ["bread"]
    return repaired


def proposal(body: dict[str, Any]) -> dict[str, Any]:
    """Propose a niche from channels and videos that the tested service knows."""
    known = {"channels": [CHANNEL], "videos": [VIDEO]}
    return body | {name: values for name, values in known.items() if body.get(name)}


def in_order(body: dict[str, Any]) -> dict[str, Any]:
    """Swap the two days of a span that ends before it begins."""
    after, before = (body.get(name) for name in ("published_after", "published_before"))
    if isinstance(after, str) and isinstance(before, str) and after > before:
        return body | {"published_after": before, "published_before": after}
    return dict(body)


def batch(body: dict[str, Any]) -> dict[str, Any]:
    """Give the items distinct ids, and send webhooks to the allowed host. Repair each item like a scoring request."""
    repaired = body | {"items": distinct_ids([scoring_request(item) for item in body["items"]])}
    if body.get("webhook") is not None:
        repaired["webhook"] = WEBHOOK
    return repaired


def titles_visible(body: dict[str, Any]) -> dict[str, Any]:
    """Replace each title that has only invisible characters. If there are several titles, also make them distinct."""
    repaired = dict(body)
    if body.get("title") is not None:
        repaired["title"] = visible(body["title"])
    if body.get("titles") is not None:
        shown = [visible_title(visible(title)) for title in body["titles"]]
        repaired["titles"] = [f"Title {at}" if text in shown[:at] else text for at, text in enumerate(shown)]
    return repaired


def own_title_visible(thumbnail: dict[str, Any]) -> dict[str, Any]:
    """If a candidate's own title has only invisible characters, replace the title."""
    return thumbnail if thumbnail.get("title") is None else thumbnail | {"title": visible(thumbnail["title"])}


def distinct_ids(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """If several values have the same id, replace the id in all of them but the first."""
    ids = [value["id"] for value in values]
    return [v | {"id": f"another {at}"} if v["id"] in ids[:at] else v for at, v in enumerate(values)]


def experiment(body: dict[str, Any]) -> dict[str, Any]:
    """Make the variants, outcome, days, channel and video agree with each other and with YouTube's rules."""
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
    """Return the day that `text` gives. Return None if the text is empty, or if the service refuses the day.

    It refuses a day before YouTube existed, and a day that is not over.
    """
    if not text:
        return None
    day = date.fromisoformat(text)
    return day if date(2005, 2, 14) <= day < datetime.now(UTC).date() else None


def visible(title: str) -> str:
    """Return the title, or a replacement if the title has only invisible characters."""
    try:
        visible_title(title)
    except ValueError:
        return "A title"
    return title


def label(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the name of a person if the name, or a part of it, is invisible."""
    try:
        clean_name(body["name"])
    except LabError:
        return body | {"name": "Alice"}
    return body


def factory(body: dict[str, Any]) -> dict[str, Any]:
    """Replace a FAISS factory whose numbers are outside the limits."""
    try:
        check_factory(body.get("factory") or "Flat")
    except LabError:
        return body | {"factory": "IDMap,IVF100,Flat"}
    return body


REPAIRS = {
    "/internal/rebuild-indices": factory,
    "/admin/faiss/rebuild": factory,
    "/v1/score": scoring_request,
    "/v1/similar": similar_request,
    "/v1/batches": batch,
    "/v1/experiments": experiment,
    "/api/v1/niches": niche_sources,
    "/api/v1/niches/{name}": niche_sources,
    "/api/v1/niches/proposals": proposal,
    "/api/v1/faces/clusters/{cluster_id}/label": label,
}
"""For each path, the function that repairs a valid JSON body of a request to this path."""
