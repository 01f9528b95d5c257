"""Send a message to an incoming webhook of Slack, or of a chat that accepts the same JSON (Mattermost, Discord)."""

import httpx

from thumblab_core.monitoring.watch_state import Message
from thumblab_pipelines.alerts.lines import one_line
from thumblab_pipelines.alerts.undelivered import RefusedMessageError, UndeliveredError

_SECONDS = 10.0
_MOST, _MOST_OF_A_PART = 2_000, 500
"""Maximum number of characters of a message, and of one part of it. Discord refuses a text of over 2,000 characters,
and Slack cuts a text after 4,000.
"""

_OF_THE_MESSAGE = {400, 413, 422}
"""HTTP errors that mean that the server refuses this message. The errors 401, 403 and 404 mean that the address is
wrong. A person can correct the address, so the message is sent again later."""


def slack_text(message: Message) -> str:
    """Return the text of the message, escaped so that it adds no formatting, links or mentions of people.

    If the text is too long, lines in the middle are left out. The last lines stay, because they name the open alerts.
    """
    head = [f"*{_escaped(message.title)}*"]
    if message.error:
        # A chat shows no formatting inside a code span. A grave accent would end the code span, so it is replaced.
        head.append(f"`{_escaped(message.error.replace('`', 'ˋ'))}`")
    lines, link = [_escaped(line) for line in message.lines], [_escaped(message.link)] if message.link else []
    half = len(lines) // 2
    first, last, note = lines[:half], lines[half:], list[str]()
    while len(text := "\n".join([*head, *first, *note, *last, *link])) > _MOST:
        longer = len(first) > len(last)
        del (first if longer else last)[-1 if longer else 0]
        note = [f"(lines left out here: {len(lines) - len(first) - len(last)})"]
    return text


def send(url: str, message: Message) -> str:
    """Send the message, and return the answer of the server. Raises `UndeliveredError` if the server does not accept
    the message. The text of this error never contains the URL."""
    if _lacks_slack(url):
        raise UndeliveredError(
            "a Discord webhook takes these messages only if its address ends with /slack; add /slack"
        )
    try:
        answer = httpx.post(
            url,
            json={"text": slack_text(message)},
            timeout=_SECONDS,
            follow_redirects=False,
            trust_env=_uses_proxy(url),
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UndeliveredError(f"the webhook cannot be reached ({type(error).__name__})") from None
    words = one_line(answer.text[:100])
    said = f"{answer.status_code}" + (f" {words}" if words else "")
    if not answer.is_success:
        kind = RefusedMessageError if answer.status_code in _OF_THE_MESSAGE else UndeliveredError
        raise kind(f"the webhook answered {said}")
    return said


def _lacks_slack(url: str) -> bool:
    """Return whether the URL is a Discord webhook without `/slack` at its end.

    Discord accepts messages in Slack's format only at an address that ends in `/slack`. Other addresses return status
    400.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return address.host in ("discord.com", "discordapp.com") and not address.path.rstrip("/").endswith("/slack")


def _uses_proxy(url: str) -> bool:
    return httpx.URL(url).host not in ("127.0.0.1", "::1", "localhost")


def _escaped(text: str) -> str:
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space after the sign @ keeps a chat from reading @channel or @everyone as a mention.
    text = text.replace("@", "@\u200b")
    return text if len(text) <= _MOST_OF_A_PART else f"{text[: _MOST_OF_A_PART - 1]}…"
