"""Send the waiting messages of one alert channel in a thread, so that a slow one does not delay the sensor `alerts`."""

import time
from collections.abc import Callable
from datetime import datetime
from threading import Thread

from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import Delivery, Message
from thumblab_pipelines.alerts.undelivered import RefusedMessageError

Send = Callable[[Message], str]


class Attempt(Thread):
    """A thread that tries to send the messages `waiting` in their order. After `seconds` seconds, the thread does not
    begin to send another message.

    `handled`: the messages that need no further attempt, each with a reason. The reason is None if the alert channel
    accepted the message. Otherwise the reason says why the channel will never accept the message. `current`: the
    message that was tried last. `problem`: why the channel has not yet accepted `current`, or None. `postponed`:
    whether the sensor has stored `problem` and planned the next attempt for `current`.
    """

    def __init__(self, send: Send, waiting: list[Delivery], began_at: datetime, seconds: float) -> None:
        super().__init__(name="alerts", daemon=True)  # A daemon thread does not stop the process from ending.
        self._send, self._waiting, self._deadline = send, waiting, time.monotonic() + seconds
        self.began_at, self.current = began_at, waiting[0]
        self.handled: list[tuple[Delivery, str | None]] = []
        self.problem: str | None = f"no answer within {seconds:.0f} s"
        self.postponed = False

    def run(self) -> None:
        self.problem = self._send_all()

    def _send_all(self) -> str | None:
        for delivery in self._waiting:
            if time.monotonic() >= self._deadline:
                break
            self.current, reason = delivery, None
            try:
                self._send(delivery.message)
            except RefusedMessageError as error:
                reason = str(error)
            except LabError as error:
                return str(error)
            except Exception as error:  # noqa: BLE001  an error of one channel must not stop the sensor
                return f"{type(error).__name__}: {error}"
            self.handled.append((delivery, reason))
        return None

    def join_in_time(self) -> None:
        """Wait until the thread has ended, or until `seconds` seconds after its start."""
        self.join(max(0.0, self._deadline - time.monotonic()))
