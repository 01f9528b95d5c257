"""Read the uploads of a channel page by page. YouTube lists them in a playlist, from the newest to the oldest."""

from collections.abc import Sequence
from datetime import datetime

from thumblab_pipelines.youtube.answers import Upload
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.paging import Paging, pages


def upload_paging(channel_id: str, pages: int = 0, cursor: str | None = None) -> Paging[Upload]:
    """Return a `Paging`, which reads a channel's public uploads page by page.

    Reading starts at `cursor`, the page where an earlier run stopped, or at the first page if `cursor` is None. An
    upload without a date of publication is private or deleted, and is left out.
    """
    return Paging(
        f"the list of uploads of {channel_id}",
        lambda item: item.video_id if item.published_at else None,
        pages=pages,
        cursor=cursor,
    )


def published_since(uploads: Sequence[Upload], oldest: datetime) -> list[Upload]:
    """Return the uploads that were published at the moment `oldest` or later."""
    return [item for item in uploads if item.published_at and item.published_at >= oldest]


def concerns_this_list(error: YouTubeError) -> bool:
    """Return whether the error is about this channel's list of uploads, and not about all calls.

    If YouTube refuses a call and gives no reason code, the cause is unknown. Such an error does not count as an error
    of this list.
    """
    return error.kind is ErrorKind.NOT_FOUND or (error.kind is ErrorKind.REQUEST and bool(error.reason))


def newest_uploads(
    youtube: YouTube, channel_id: str, playlist: str, limit: int, remarks: list[str], oldest: datetime | None = None
) -> list[str]:
    """Return the ids of the newest public videos of an uploads playlist, each once.

    Args:
        youtube: The client.
        channel_id: The id of the channel, for remarks.
        playlist: The channel's uploads playlist. A playlist that no longer exists counts as empty.
        limit: The maximum number of returned ids.
        remarks: The list to which a sentence is appended if the playlist could not be read, or if reading stopped
            before the last page.
        oldest: Videos that were published before this moment are left out, because they are too old for the library.
    """
    paging = upload_paging(channel_id)
    video_ids: list[str] = []
    try:
        for items in pages(paging, lambda cursor: youtube.uploads(playlist, cursor)):
            recent = items if oldest is None else published_since(items, oldest)
            video_ids += [item.video_id for item in recent]
            if len(video_ids) >= limit or len(recent) < len(items):
                break
    except YouTubeError as error:
        if not concerns_this_list(error):
            raise
        if error.kind is not ErrorKind.NOT_FOUND:
            remarks.append(f"the list of uploads of {channel_id} cannot be read: {error}")
    if paging.remark is not None:
        remarks.append(paging.remark)
    return video_ids[:limit]
