"""The routes that put videos into the served index and take them out of it.

Each route also has paths below `/admin`, which clients of other systems use.
"""

from typing import Literal

from fastapi import APIRouter, Depends, Request, Response

from thumblab_serving.dagster_runs.runs import RunRequest
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.queries import query_of
from thumblab_serving.routes.aliases import with_aliases
from thumblab_serving.routes.requested_runs import (
    changed_items_of,
    common_fields,
    documented,
    explained,
    run_requested,
    status_of,
)
from thumblab_serving.schemas.lab_runs import ChangedItemsOut, ItemsOut, ItemsQuery, ItemsRequest

router = APIRouter(tags=["library"], dependencies=[Depends(require("admin"))])


@with_aliases(
    router.post,
    "/internal/upsert-item",
    "/admin/embed/item",
    "/admin/faiss/upsert-item",
    summary="Add or update videos of the lab in the served index",
    **documented(ItemsOut, ItemsRequest, ItemsQuery, required=True),
)
async def upsert_item(request: Request, response: Response) -> ItemsOut:
    """Encode the thumbnails that have no vector yet, and put the videos into the served index without a rebuild.

    If the served index cannot be changed in this way, the lab requests a rebuild, and Dagster starts the rebuild within
    half a minute.
    """
    return await _change_items(request, response, take_out=False)


@with_aliases(
    router.post,
    "/internal/delete-item",
    "/admin/faiss/delete-item",
    summary="Take videos out of the served index, and keep them out of later indices",
    **documented(ItemsOut, ItemsRequest, ItemsQuery, required=True),
)
async def delete_item(request: Request, response: Response) -> ItemsOut:
    """Take the videos out of the served index without a rebuild. The videos stay in the lab, and
    `/internal/upsert-item` puts them back.
    """
    return await _change_items(request, response, take_out=True)


async def _change_items(request: Request, response: Response, take_out: bool) -> ItemsOut:
    query, body = query_of(request, ItemsQuery), await body_of(request, ItemsRequest)
    items = {"video_ids": body.video_ids, "take_out": take_out, "niche": body.niche or ""}
    config = {"ops": {"change_items_in_index": {"config": items}}}
    runs = await run_requested(request, response, query, [RunRequest("change_index", config=config)])
    [run] = runs
    with explained():
        changed = changed_items_of(run.outcome) or ChangedItemsOut(niche=body.niche)
    outcome: Literal["changed", "unchanged", "rebuild_required", "failed", "pending"] = "unchanged"
    if not run.ended:
        outcome = "pending"
    elif not run.succeeded:
        outcome = "failed"
    elif changed.rebuild_required:
        outcome = "rebuild_required"
    elif changed.put_in or changed.taken_out:
        outcome = "changed"
    notes = ["media_type has no effect: the lab holds only videos"] if body.media_type else []
    common = common_fields(request, runs, status_of(runs, query), "Served index changed", "runs")
    if outcome == "unchanged":
        common["message"] = "Nothing was changed; `skipped` gives the reason for each video"
    elif outcome == "rebuild_required":
        common["message"] = "The served index could not be changed, so a rebuild was requested"
    elif outcome == "changed":
        verb = "taken out" if take_out else "put in"
        count = len(changed.taken_out if take_out else changed.put_in)
        common["message"] = f"{count} of {len(body.video_ids)} videos {verb}"
    return ItemsOut(**common, **dict(changed), outcome=outcome, notes=notes)
