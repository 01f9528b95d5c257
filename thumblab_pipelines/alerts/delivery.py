"""Deliver messages to the channels that the settings name. What a channel refuses is tried again with growing pauses."""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from thumblab_core.errors import LabError
from thumblab_core.keys.secret_texts import without_secrets
from thumblab_core.monitoring.watch_state import Delivery, Message, WatchState
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts import mail, webhook
from thumblab_pipelines.alerts.lines import one_line

Send = Callable[[Message], str]

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP = timedelta(days=3)
_MOST_WAITING = 100
_SECONDS = 20.0
"""Seconds that all channels together may take at one look. Dagster ends a look after a minute."""

_log = logging.getLogger(__name__)


def channels(chosen: Settings) -> dict[str, Send]:
    """Return the channels of the settings by name, each with a function that sends a message and returns the answer."""
    found: dict[str, Send] = {}
    if chosen.alert_webhook_url is not None:
        url = chosen.alert_webhook_url.get_secret_value()
        found["webhook"] = lambda message: webhook.send(url, message)
    if chosen.alert_smtp_host and chosen.alert_mail_to.replace(",", "").strip():
        found["mail"] = lambda message: mail.send(chosen, message)
    return found


def announce(
    state: WatchState, messages: Iterable[Message], names: Iterable[str], now: datetime, secrets: list[str]
) -> None:
    """Log each message, and queue it for each channel in `names`. Secrets are taken out."""
    names = list(names)
    for found in messages:
        message = _clean(found, secrets)
        _log.warning("%s", " | ".join(filter(None, [message.title, message.error, *message.lines, message.link])))
        for name in names:
            state.deliveries.append(Delivery(channel=name, message=message, made_at=now, next_at=now))
    for name in names:
        waiting = [delivery for delivery in state.deliveries if delivery.channel == name]
        for delivery in waiting[:-_MOST_WAITING]:
            _log.warning("%s: too many messages wait, so this one is dropped: %s", name, delivery.message.title)
            state.deliveries.remove(delivery)


@dataclass
class _Attempt:
    """The messages that wait for a channel, how many of them it has taken, and why it did not take the next one."""

    waiting: list[Delivery]
    sent: int = 0
    problem: str | None = None

    def send_all(self, send: Send) -> None:
        for delivery in self.waiting:
            try:
                send(delivery.message)
            except LabError as error:
                self.problem = str(error)
                return
            except Exception as error:  # noqa: BLE001  a channel that breaks must not stop the watch
                self.problem = f"{type(error).__name__}: {error}"
                return
            self.sent += 1


def deliver(
    state: WatchState, senders: Mapping[str, Send], now: datetime, secrets: list[str], seconds: float = _SECONDS
) -> None:
    """Send what is due to each channel. Channels do not wait for each other, and none is waited for over `seconds`."""
    state.deliveries = [delivery for delivery in state.deliveries if delivery.channel in senders]
    pool = ThreadPoolExecutor(max(1, len(senders)), "alerts")
    attempts, running = [], []
    for name, send in senders.items():
        attempt = _Attempt([delivery for delivery in state.deliveries if delivery.channel == name])
        # Messages are delivered in their order. While the first one waits for its next attempt, the others wait too.
        if attempt.waiting and attempt.waiting[0].next_at <= now:
            attempts.append(attempt)
            running.append(pool.submit(attempt.send_all, send))
    wait(running, timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    for attempt in attempts:
        sent, problem = attempt.sent, attempt.problem or f"no answer within {seconds:.0f} s"
        taken = {id(delivery) for delivery in attempt.waiting[:sent]}
        state.deliveries = [delivery for delivery in state.deliveries if id(delivery) not in taken]
        if sent < len(attempt.waiting):
            _postpone(state, attempt.waiting[sent], without_secrets(problem, secrets), now)


def _postpone(state: WatchState, delivery: Delivery, problem: str, now: datetime) -> None:
    pause = min(FIRST_PAUSE * 2 ** min(delivery.attempts, 10), LONGEST_PAUSE)
    delivery.attempts, delivery.problem, delivery.next_at = delivery.attempts + 1, problem, now + pause
    if now - delivery.made_at > GIVEN_UP:
        state.deliveries.remove(delivery)
        _log.warning("%s: given up after three days: %s (%s)", delivery.channel, delivery.message.title, problem)
    else:
        _log.warning("%s: %s; it is tried again in %.0f minutes", delivery.channel, problem, pause.total_seconds() / 60)


def _clean(message: Message, secrets: list[str]) -> Message:
    """Return the message without secrets and control characters. A line break would begin a line of its own in the log."""
    title, error = one_line(message.title), message.error and one_line(message.error)
    return Message(
        title=without_secrets(title, secrets),
        error=error and without_secrets(error, secrets),
        lines=[without_secrets(one_line(line), secrets) for line in message.lines],
        link=message.link and without_secrets(one_line(message.link), secrets),
    )
