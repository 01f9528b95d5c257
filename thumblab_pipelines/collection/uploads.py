"""The newest uploads of one channel, from the list that YouTube keeps of them."""

from datetime import datetime

from thumblab_pipelines.youtube.answers import Upload
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.youtube.paging import Paging, pages


def newest_uploads(
    youtube: YouTube, channel_id: str, playlist: str, limit: int, remarks: list[str], oldest: datetime | None = None
) -> list[str]:
    """Ids of the newest public videos of an uploads playlist, each once, none from before `oldest`, for those have left the
    library; a playlist that is gone has none. What is odd about the list is added to `remarks`.
    """
    what = f"the list of uploads of {channel_id}"
    paging = Paging[Upload](what, lambda item: item.video_id if item.published_at else None)
    found: list[str] = []
    try:
        for items in pages(paging, lambda cursor: youtube.uploads(playlist, cursor)):
            recent = [item for item in items if not oldest or (item.published_at and item.published_at >= oldest)]
            found += [item.video_id for item in recent]
            if len(found) >= limit or len(recent) < len(items):
                break
    except YouTubeError as error:
        if error.trouble is Trouble.REQUEST and error.reason:  # of this list alone; the channel has had its turn
            remarks.append(f"{what} cannot be read: {error}")
        elif error.trouble is not Trouble.NOT_FOUND:
            raise
    if paging.remark is not None:
        remarks.append(paging.remark)
    return found[:limit]
