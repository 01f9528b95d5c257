"""Check the API key of YouTube, and the quota that is left today."""

import re
from collections.abc import Iterator

from thumblab_cli.doctor.examined import Examined, NotRunningError
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning
from thumblab_core.errors import LabError

_KEY = re.compile(r"AIza[\w-]{35}")
_FROM_YOUTUBE = "SELECT EXISTS (SELECT FROM videos WHERE source = 'youtube')"


def api_key(examined: Examined) -> Iterator[Finding]:
    """Check whether an API key is set and has the form of a YouTube key. No request is sent to YouTube."""
    key = examined.settings.youtube_api_key
    if examined.demo:
        yield fine("the demo's emulator needs no key of YouTube")
    elif key is not None:
        value = key.get_secret_value()
        if examined.settings.youtube_endpoint is None and not _KEY.fullmatch(value):
            yield warning(
                f"THUMBLAB_YOUTUBE_API_KEY does not look like a key: it has {len(value)} characters; a key of YouTube "
                "has 39 characters and begins with AIza",
                "copy the key again from https://console.cloud.google.com, Credentials",
            )
        else:
            yield fine("THUMBLAB_YOUTUBE_API_KEY is set")
    elif _has_videos_from_youtube(examined):
        yield error(
            "no API key is set, so the lab's videos from YouTube are not refreshed and are deleted after 30 days",
            "set THUMBLAB_YOUTUBE_API_KEY in .env (README.md says how to get a key)",
        )
    else:
        yield skipped("no API key is set, so nothing is collected from YouTube; imported videos need no API key")


def _has_videos_from_youtube(examined: Examined) -> bool:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    try:
        with examined.database() as connection:
            return bool(connection.execute(text(_FROM_YOUTUBE)).scalar())
    except (LabError, DBAPIError):  # The check `database` reports this error.
        return False


def quota(examined: Examined) -> Iterator[Finding]:
    """Show what is left of today's quota in each bucket."""
    from sqlalchemy.exc import DBAPIError

    from thumblab_pipelines.youtube.quota import balances_of, next_reset

    now = examined.machine.now()
    if examined.settings.youtube_api_key is None:
        yield skipped("no API key is set")
        return
    try:
        with examined.database() as connection:
            balances = balances_of(connection, examined.settings, now)
    except NotRunningError as reason:
        yield skipped(str(reason))
        return
    except (LabError, DBAPIError):
        yield skipped("the database does not answer, or has no tables yet")
        return
    spent = [balance for balance in balances if balance.left == 0]
    for balance in spent:
        yield warning(
            f"today's {balance.limit:,} {balance.bucket} of YouTube's quota are spent; what was collected is kept",
            f"run again after {next_reset(now):%Y-%m-%d %H:%M} UTC; `thumblab quota` shows the buckets",
        )
    if not spent:
        yield fine(", ".join(f"{balance.left:,} {balance.bucket} left today" for balance in balances))
