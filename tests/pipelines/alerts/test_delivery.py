"""Test the delivery of alert messages over several evaluations of the sensor `alerts`.

The chat and the mail server are real servers on this machine.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from alert_sinks import Chat, MailServer, chat, mail_server
from pydantic import SecretStr

from thumblab_cli.servers.ports import free_port
from thumblab_core.monitoring.watch_state import Message, WatchState
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts import webhook
from thumblab_pipelines.alerts.delivery import announce, channels, deliver

MINUTE = timedelta(minutes=1)


class Looks:
    """Evaluations of the sensor `alerts` in a lab with one alert channel.

    Before each evaluation, the sensor's state is turned into text and parsed again, as if the sensor read it from the
    disk.
    """

    def __init__(self, chosen: Settings, seconds: float = 10) -> None:
        self.senders, self.seconds = channels(chosen), seconds
        self.now, self.state = datetime.now(UTC), WatchState()

    def announce(self, *titles: str) -> None:
        announce(self.state, [Message(title=title) for title in titles], self.senders, self.now, [])

    def look(self, later: timedelta = timedelta()) -> list[str]:
        """Evaluate the sensor once, and return the titles of the messages that still have to be delivered."""
        self.now += later
        self.state = WatchState.model_validate_json(self.state.model_dump_json())
        deliver(self.state, self.senders, self.now, [], self.seconds)
        return [delivery.message.title for delivery in self.state.deliveries]


def of_chat(server: Chat, seconds: float = 10) -> Looks:
    return Looks(Settings(alert_webhook_url=SecretStr(server.url)), seconds)


def until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def slow_chat() -> Iterator[Chat]:
    """Yield a chat server that sends no answer before its event `answers` is set. When the block ends, the event is
    set.
    """
    with chat() as server:
        server.answers.clear()
        try:
            yield server
        finally:
            server.answers.set()


def test_a_slow_channel_gets_each_message_once_and_one_attempt_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "_SECONDS", 60.0)
    with slow_chat() as server:
        looks = of_chat(server, seconds=1)
        looks.announce("first", "second")
        assert looks.look() == ["first", "second"]
        assert looks.state.deliveries[0].problem == "no answer within 1 s"
        until(lambda: server.asked == 1)
        for later in (2 * MINUTE, 30 * MINUTE):
            assert looks.look(later) == ["first", "second"]
        assert server.asked == 1
        server.answers.set()
        for thread in threading.enumerate():
            if thread.name == "alerts":
                thread.join(30)
        assert server.texts == ["*first*"]  # An attempt that has taken too long sends no further message.
        looks.seconds = 10
        assert looks.look() == []
    assert server.texts == ["*first*", "*second*"]


def test_an_attempt_that_never_ends_is_given_up_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_SECONDS", 60.0)
    with slow_chat() as server:
        looks = of_chat(server, seconds=0.5)
        looks.announce("first")
        looks.look()
        until(lambda: server.asked == 1)
        looks.look(61 * MINUTE)
        until(lambda: server.asked == 2)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_the_chat_refuses_for_good_is_logged_and_lets_the_next_ones_pass(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with chat() as server:
        server.refused = {"*bad*": status}
        looks = of_chat(server)
        looks.announce("before", "bad", "after")
        assert looks.look() == []
    assert server.texts == ["*before*", "*after*"]
    assert f"webhook: the webhook answered {status} no_service, so this message is dropped: bad" in caplog.text


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_messages_wait_while_a_chat_is_down_or_its_address_is_wrong(status: int) -> None:
    with chat() as server:
        looks = of_chat(server)
        looks.announce("first", "second")
        server.status = status
        assert looks.look() == ["first", "second"]
        server.status = 200
        assert looks.look(MINUTE) == []
    assert server.texts == ["*first*", "*second*"]


@pytest.mark.parametrize(("answer", "waiting"), [("554 no", []), ("451 later", ["bad", "after"])])
def test_a_mail_that_is_refused_for_good_lets_the_next_ones_pass(
    answer: str, waiting: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = MailServer.handle_DATA

    async def picky(self: MailServer, server: object, session: object, envelope: object) -> str:
        taken = await take(self, server, session, envelope)  # type: ignore[arg-type]
        return answer if "bad" in str(self.mails[-1]["Subject"]) else taken

    monkeypatch.setattr(MailServer, "handle_DATA", picky)
    with mail_server(free_port()) as server:
        looks = Looks(
            Settings(
                alert_smtp_host="127.0.0.1",
                alert_smtp_port=server.port,
                alert_smtp_security="none",
                alert_mail_to="owner@example.com",
            )
        )
        looks.announce("bad", "after")
        assert looks.look() == waiting
