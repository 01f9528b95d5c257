"""Send messages to the alert channels in the settings. If one of them does not accept a message, the message is sent
again after longer and longer pauses.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from thumblab_core.keys.secret_texts import without_secrets
from thumblab_core.monitoring.watch_state import Delivery, Message, WatchState
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts import mail, webhook
from thumblab_pipelines.alerts.attempt import Attempt, Send
from thumblab_pipelines.alerts.lines import one_line

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP = timedelta(days=3)
_MOST_WAITING = 100
_SECONDS = 20.0
"""Seconds that one run of the sensor may wait until all alert channels have answered. Dagster ends a run of a sensor
after a minute.
"""

_log = logging.getLogger(__name__)

_attempts: dict[str, Attempt] = {}
"""The last attempt to send messages to each alert channel. An attempt may go on after the run of the sensor that began
it. All runs of the sensor happen in one process, so the attempts are kept in memory.
"""


def channels(chosen: Settings) -> dict[str, Send]:
    """Return a function for each alert channel in the settings, by the name of the alert channel. The function sends a
    message, and returns the answer of the server.
    """
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
    """Log each message, and queue it for each alert channel in `names`. Remove the secrets from the message first."""
    names = list(names)
    for found in messages:
        message = _clean(found, secrets)
        _log.warning("%s", " | ".join(filter(None, [message.title, message.error, *message.lines, message.link])))
        for name in names:
            state.deliveries.append(Delivery(channel=name, message=message, made_at=now, next_at=now))
    for name in names:
        waiting = [delivery for delivery in state.deliveries if delivery.channel == name]
        for delivery in waiting[:-_MOST_WAITING]:
            _log.warning("%s: too many messages wait, so this message is dropped: %s", name, delivery.message.title)
            state.deliveries.remove(delivery)


def deliver(
    state: WatchState, senders: Mapping[str, Send], now: datetime, secrets: list[str], seconds: float = _SECONDS
) -> None:
    """Send the messages whose next attempt is due, to all alert channels at the same time. Wait at most `seconds` for
    each alert channel.
    """
    state.deliveries = [delivery for delivery in state.deliveries if delivery.channel in senders]
    begun = []
    for name, send in senders.items():
        if _still_sends(state, name, now, secrets):
            continue
        # Messages are sent in order. While the first message waits for its next attempt, the later messages wait too.
        waiting = [delivery for delivery in state.deliveries if delivery.channel == name]
        if waiting and waiting[0].next_at <= now:
            _attempts[name] = Attempt(send, waiting, now, seconds)
            _attempts[name].start()
            begun.append(_attempts[name])
    for attempt in begun:
        attempt.join_in_time()
        _settle(state, attempt, now, secrets)


def _still_sends(state: WatchState, name: str, now: datetime, secrets: list[str]) -> bool:
    """Store in `state` the results of the last attempt of an alert channel. Return whether the attempt still runs.

    Return False for an attempt that began over an hour ago, so that the next attempt can start. Otherwise a server that
    never ends its answer would block the alert channel.
    """
    attempt = _attempts.get(name)
    if attempt is None or _find(state, attempt.current) is None:
        return False
    _settle(state, attempt, now, secrets)
    return attempt.is_alive() and now - attempt.began_at < LONGEST_PAUSE


def _settle(state: WatchState, attempt: Attempt, now: datetime, secrets: list[str]) -> None:
    """Store in `state` the results that the attempt has so far. If the attempt still runs, this function must be called
    again later.
    """
    # Read `problem` before `handled`. Otherwise a message that was sent between the two reads could be postponed.
    problem = attempt.problem
    while attempt.handled:
        done, reason = attempt.handled.pop(0)
        delivery = _find(state, done)
        if delivery is not None:
            state.deliveries.remove(delivery)
        if reason is not None:
            reason = without_secrets(reason, secrets)
            _log.warning("%s: %s, so this message is dropped: %s", done.channel, reason, done.message.title)
    delivery = _find(state, attempt.current)
    if problem is not None and delivery is not None and not attempt.postponed:
        _postpone(state, delivery, without_secrets(problem, secrets), now)
        attempt.postponed = True


def _find(state: WatchState, sought: Delivery) -> Delivery | None:
    """Return the delivery in `state` that has the channel, time and message of `sought`, or None.

    The objects themselves are not compared, because `state` may have been read from the disk again.
    """
    same = (sought.channel, sought.made_at, sought.message)
    return next((found for found in state.deliveries if (found.channel, found.made_at, found.message) == same), None)


def _postpone(state: WatchState, delivery: Delivery, problem: str, now: datetime) -> None:
    pause = min(FIRST_PAUSE * 2 ** min(delivery.attempts, 10), LONGEST_PAUSE)
    delivery.attempts, delivery.problem, delivery.next_at = delivery.attempts + 1, problem, now + pause
    if now - delivery.made_at > GIVEN_UP:
        state.deliveries.remove(delivery)
        _log.warning("%s: message dropped after three days: %s (%s)", delivery.channel, delivery.message.title, problem)
    else:
        _log.warning("%s: %s; next attempt in %.0f minutes", delivery.channel, problem, pause.total_seconds() / 60)


def _clean(message: Message, secrets: list[str]) -> Message:
    """Return the message without secrets and control characters. A line break in a message would look like a new log
    entry."""
    title, error = one_line(message.title), message.error and one_line(message.error)
    return Message(
        title=without_secrets(title, secrets),
        error=error and without_secrets(error, secrets),
        lines=[without_secrets(one_line(line), secrets) for line in message.lines],
        link=message.link and without_secrets(one_line(message.link), secrets),
    )
