"""Send the waiting messages of one channel in a thread, which a look can leave behind and ask later."""

import time
from collections.abc import Callable
from datetime import datetime
from threading import Thread

from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import Delivery, Message
from thumblab_pipelines.alerts.undelivered import RefusedMessageError

Send = Callable[[Message], str]


class Attempt(Thread):
    """An attempt to send `waiting` in its order. It begins no message after `seconds`.

    `handled` are the messages that need no other attempt, each with the reason if the channel refused it for good.
    `problem` says why the channel has not taken the message `current`. `postponed` says whether the state has this problem.
    """

    def __init__(self, send: Send, waiting: list[Delivery], began_at: datetime, seconds: float) -> None:
        super().__init__(name="alerts", daemon=True)  # A channel that hangs must not keep the process from ending.
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
            except Exception as error:  # noqa: BLE001  a channel that breaks must not stop the watch
                return f"{type(error).__name__}: {error}"
            self.handled.append((delivery, reason))
        return None

    def join_in_time(self) -> None:
        """Wait for the end of the attempt, but not past its deadline."""
        self.join(max(0.0, self._deadline - time.monotonic()))
