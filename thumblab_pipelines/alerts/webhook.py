"""Send a message to an incoming webhook of Slack, or of a chat that takes the same JSON (Mattermost, Discord)."""

import httpx

from thumblab_core.monitoring.watch_state import Message
from thumblab_pipelines.alerts.lines import one_line
from thumblab_pipelines.alerts.undelivered import UndeliveredError

_SECONDS = 10.0
_MOST = 3_000
"""Slack cuts a text after 4,000 characters."""


def slack_text(message: Message) -> str:
    """Return the text of the message. Words from outside cannot format it, link to anything or call anybody."""
    parts = [f"*{_escaped(message.title)}*"]
    if message.error:
        # Chats show a code span as it is. A grave accent would end it.
        parts.append(f"`{_escaped(message.error.replace('`', 'ˋ'))}`")
    parts += [_escaped(line) for line in message.lines]
    if message.link:
        parts.append(_escaped(message.link))
    return "\n".join(parts)[:_MOST]


def send(url: str, message: Message) -> str:
    """Send the message, and return what the server answered. Raises UndeliveredError, which never has the URL."""
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
        raise UndeliveredError(f"the webhook answered {said}")
    return said


def _uses_proxy(url: str) -> bool:
    return httpx.URL(url).host not in ("127.0.0.1", "::1", "localhost")


def _escaped(text: str) -> str:
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A space of no width after the sign keeps a chat from reading @channel or @everyone.
    return text.replace("@", "@\u200b")
