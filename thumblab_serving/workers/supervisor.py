"""Start the workers of a service, and replace workers that die or hang."""

import logging
import signal
import sys
import threading
import time
from contextlib import suppress
from socket import socket

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

_SHORTEST_LIFE_S = 60.0
"""A worker that dies within this many seconds of its start is replaced only after a wait. If the next worker dies so
early too, the wait doubles.
"""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_START_S = 180.0
"""Minimum number of seconds that a new worker gets for its first answer. On a busy machine, the imports of a worker may
take a minute."""
_END_S = 30.0
"""Seconds between the signal to end and the moment at which a worker that still runs is killed.

The worker may be stopped (SIGSTOP), or may still wait until it can accept connections. In these states, it does not
react to the signal.
"""

_log = logging.getLogger("uvicorn.error")


class _Place:
    """The state of one worker and of the workers that replace it one after the other.

    `started` is the time at which the present worker started. `wait` is the number of seconds before the next worker
    starts. `asked` is the time of a ping that the worker has not answered yet, or None. `next_start` is None while a
    worker runs. `has_answered` says whether the worker has answered any ping.
    """

    def __init__(self, process: Process) -> None:
        self.wait = 0.0
        self.take(process)

    def take(self, process: Process) -> None:
        self.process = process
        self.started = time.monotonic()
        self.asked: float | None = None
        self.has_answered = False
        self.next_start: float | None = None

    def postpone(self) -> None:
        """Set the time at which the next worker starts. The wait is longer each time, unless the last worker ran
        for a long time.
        """
        now = time.monotonic()
        has_lived = self.next_start is None and now - self.started > _SHORTEST_LIFE_S
        self.wait = 0.0 if has_lived else min(max(_FIRST_WAIT_S, 2 * self.wait), _LONGEST_WAIT_S)
        self.next_start = now + self.wait


def _wait_for_end(process: Process, latest: float) -> None:
    """Wait until a worker that got the signal to end has ended. Kill the worker if it has not ended at the time
    `latest`.
    """
    process.process.join(max(0.0, latest - time.monotonic()))
    if process.process.is_alive():
        process.kill()
        process.join()
        _log.error("Worker [%s] did not end and was killed.", process.pid)


class _Exit(threading.Event):
    """The event that ends the service. The event counts as set as soon as SIGTERM or SIGINT has arrived.

    uvicorn sets the event only when it has finished its present task, and a task that replaces workers may take
    minutes. A signal handler must not set the event, because a handler that interrupts `wait` would wait for ever for
    the event's lock.
    """

    def __init__(self, arrived: list[int]) -> None:
        super().__init__()
        self._arrived = arrived

    def is_set(self) -> bool:
        return super().is_set() or signal.SIGTERM in self._arrived or signal.SIGINT in self._arrived


class Supervisor(Multiprocess):
    """uvicorn's supervisor, with other rules for workers that die.

    uvicorn pings one worker after the other, and waits for each answer. So a busy worker delays the replacement of a
    dead worker, for up to `timeout_worker_healthcheck` seconds. Also, uvicorn ends the whole service if a replacement
    fails to start. This supervisor waits for no answer. If a worker cannot start, the other workers continue. If
    workers die soon after their start, each replacement comes after a longer wait.

    If the first workers fail to start, the service ends with uvicorn's exit status for this failure, as a service with
    one worker does.

    The signals that replace, add or remove a worker are also handled differently. If the system allows no further
    process, the workers stay as they are. A worker that does not end in time is killed.
    """

    _has_served = False
    _has_failed = False

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.should_exit = _Exit(self.signal_queue)

    def run(self) -> None:
        super().run()
        if self._has_failed:
            sys.exit(STARTUP_FAILURE)

    def init_processes(self) -> None:
        super().init_processes()
        self._places: dict[int, _Place] = {}

    def join_all(self) -> None:
        """Wait until all workers have ended. A worker that hangs is killed, so that the service ends in any case."""
        latest = time.monotonic() + _END_S
        for process in self.processes:
            _wait_for_end(process, latest)

    def restart_all(self) -> None:
        """Replace all workers, one after the other. An old worker ends when its replacement can answer requests. SIGHUP
        calls this method.
        """
        for number, old in enumerate(self.processes):
            new = None if self.should_exit.is_set() else self._started("stay as they are")
            if new is None:
                return
            if not new.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                new.kill()
                new.join()
                if not self.should_exit.is_set():
                    _log.error(
                        "The new worker [%s] cannot answer requests, so worker [%s] and all later workers are kept.",
                        new.pid,
                        old.pid,
                    )
                return
            self.processes[number] = new
            self._retire(old)

    def handle_ttin(self) -> None:
        """Add a worker."""
        new = self._started("stay as many as before")
        if new is not None:
            self.processes.append(new)

    def handle_ttou(self) -> None:
        """End the newest worker, unless it is the only worker."""
        if len(self.processes) > 1:
            self._retire(self.processes.pop())

    def _started(self, workers: str) -> Process | None:
        """Return a new worker. If the system allows no further process, log an error and return None.

        `workers`: the last words of the logged error, which say what happens to the workers.
        """
        try:
            process = Process(self.config, self.sockets)
            process.start()
        except OSError as error:
            _log.error("No worker can be started (%s), so the workers %s.", error.strerror, workers)
            return None
        return process

    def _retire(self, process: Process) -> None:
        process.terminate()
        _wait_for_end(process, time.monotonic() + _END_S)

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died or hang. uvicorn calls this twice a second."""
        for number, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            place = self._places.setdefault(number, _Place(process))
            if place.process is not process:  # SIGHUP has replaced the worker in the meantime.
                place.take(process)
            if place.next_start is None and not self._lives(process, place):
                self._bury(process, place)
            if place.next_start is not None and time.monotonic() >= place.next_start:
                self._replace(number, place)

    def _lives(self, process: Process, place: _Place) -> bool:
        """Return whether a worker runs, and has answered the last ping or still has time to answer it."""
        if not process.process.is_alive():
            return False
        with suppress(OSError, EOFError):
            while process.parent_conn.poll(0):
                self._has_served = process.parent_conn.recv() is True or self._has_served
                place.asked, place.has_answered = None, True
            if place.asked is None:
                process.parent_conn.send(b"ping")
                place.asked = time.monotonic()
        patience = float(self.config.timeout_worker_healthcheck)
        if not place.has_answered:
            patience = max(patience, _START_S)
        return place.asked is None or time.monotonic() - place.asked < patience

    def _bury(self, process: Process, place: _Place) -> None:
        hung = process.process.is_alive()
        process.kill()
        process.join()
        if process.exitcode == STARTUP_FAILURE and not self._has_served:
            _log.error("Worker [%s] failed to start, so the service ends.", process.pid)
            self._has_failed = True
            self.should_exit.set()
            return
        place.postpone()
        what = "did not answer and was killed" if hung else f"died with exit code {process.exitcode}"
        _log.error("Worker [%s] %s. It is replaced in %.0f s.", process.pid, what, place.wait)

    def _replace(self, number: int, place: _Place) -> None:
        try:
            process = Process(self.config, self.sockets)
            process.start()
        except OSError as error:  # For example, the system allows no further process.
            place.postpone()
            _log.error("No worker can be started (%s). The next try is in %.0f s.", error.strerror, place.wait)
            return
        self.processes[number] = process
        place.take(process)
