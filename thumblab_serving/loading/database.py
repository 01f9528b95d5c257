"""Read and write the lab's database from the service, with time limits.

The service must not depend on the database. So this module starts no database server, and waits at most three seconds.
No message contains the URL, the user or the password of the database.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from typing import TYPE_CHECKING, Literal, TypeVar

from thumblab_core.database.urls import running_database_url
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection, Engine

_PATIENCE = 2.5
"""Seconds after which a request stops waiting, even if the database, the network or the name resolver hangs."""
_STATEMENT_MS = 2_000
_CONNECT_SECONDS = 2  # libpq allows no shorter limit for connecting.
_RETRY_SECONDS = 30.0
_THREADS = 4

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")


class NoDatabaseError(LabError):
    """The error that is raised if the database could not answer.

    The message gives the reason as a clause that fits into a sentence.
    """

    transient = True


class NewerDatabaseError(Exception):
    """The error for tables that a newer version of the lab may have changed. This module raises and catches the error
    itself.
    """


class ServiceDatabase:
    """The service's access to the lab's database. Statements run in separate threads. `close` ends these threads.

    Many threads may use this object at the same time. After a failure, the database is not queried again for half a
    minute. Until then, each call raises `NoDatabaseError`. If the embedded database does not run, the next call checks
    again immediately. If the database cannot store a value, only the call with this value raises the error.

    `statement_seconds`: the time limit for the statements of `read` and `write`; None means two seconds. With such a
    limit, a call waits at most half a second longer than the limit.
    """

    def __init__(self, settings: Settings, statement_seconds: float | None = None) -> None:
        self._settings = settings
        self._statement_seconds = statement_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "database")
        self._engines: dict[str, Engine] = {}
        self._known: set[Engine] = set()
        self._making_engine = threading.Lock()
        self._asked = False
        self._failure: str | None = None
        self._failed_at = -math.inf

    @property
    def failure(self) -> str | None:
        """Why the database failed at the last attempt. None if the database answered, or was not queried yet."""
        return self._failure

    @property
    def state(self) -> Literal["not_asked", "fine", "failed"]:
        """Whether the database answered at the last attempt."""
        if self._failure is not None:
            return "failed"
        return "fine" if self._asked else "not_asked"

    @property
    def retry_seconds(self) -> float:
        """Seconds until the database is queried again. 0 if it may be queried now."""
        return max(0.0, self._failed_at + _RETRY_SECONDS - time.monotonic())

    def warm(self) -> None:
        """Import the modules that connect to the database, so that no request waits for them. Does not connect."""
        import psycopg  # noqa: F401

        import thumblab_core.database.engine  # noqa: F401

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in self._engines.values():
            engine.dispose()

    def ask(self, work: "Callable[[Engine], T]") -> T:
        """Return the result of `work`, a function that runs in another thread and gets an engine.

        The engine waits at most two seconds for a connection. Raises `NoDatabaseError` if the database cannot answer. A
        `LabError` of `work` is raised unchanged. Returns or raises within three seconds.
        """
        return self._ask(work, refusals_are_failures=True)

    def read(self, work: "Callable[[Connection], T]") -> T:
        """Return the result of `work`, which gets a connection with a read-only transaction. See `ask` for errors."""
        return self.ask(lambda engine: self._in_transaction(engine, work, read_only=True))

    def write(self, work: "Callable[[Connection], T]") -> T:
        """Return the result of `work`, which gets a connection with a transaction. See `ask` for errors.

        The transaction is committed if `work` returns, and rolled back if `work` raises an error. If the database does
        not answer in time, the transaction may still be committed later. So `work` must be safe to repeat.
        """
        # A server that refuses a write, for example because the database role lacks a right, may still answer reads. So
        # a refused write does not count as a failure of the database.
        return self._ask(
            lambda engine: self._in_transaction(engine, work, read_only=False), refusals_are_failures=False
        )

    def _ask(self, work: "Callable[[Engine], T]", refusals_are_failures: bool) -> T:
        if self._failure is not None and self.retry_seconds > 0:
            raise NoDatabaseError(self._failure)
        try:
            url = running_database_url(self._settings)
        except LabError as error:
            raise self._not_there(f"there is no database to ask ({str(error).rstrip('.')})") from None
        if url is None:
            raise self._not_there("the database does not run")
        self._asked = True
        running = self._threads.submit(lambda: work(self._checked(self._engine(url))))
        try:
            result = running.result(self._patience)
        except NewerDatabaseError as error:
            raise self._failed(str(error)) from None
        except LabError:
            self._failure = None  # `work` raised the error, so the database can be reached.
            raise
        except DeadlineError:
            # `cancel` only prevents `work` that has not started. If `work` already runs, it continues in its thread.
            running.cancel()
            raise self._failed(f"the database did not answer within {self._patience:g} seconds") from None
        except Exception as error:  # noqa: BLE001  the service goes on without the database, whatever the error is
            # `from None` hides the driver's error, because the message of that error may contain the URL.
            if _is_about_a_value(error):  # The database works, so other requests may still use it.
                raise NoDatabaseError(database_message(error, self._statement_seconds)) from None
            if not refusals_are_failures and _sqlstate(error) is not None:
                raise NoDatabaseError(database_message(error, self._statement_seconds)) from None
            raise self._failed(database_message(error, self._statement_seconds)) from None
        self._failure = None
        return result

    @property
    def _patience(self) -> float:
        """Seconds after which a call stops waiting."""
        return _PATIENCE if self._statement_seconds is None else self._statement_seconds + 0.5

    def _in_transaction(self, engine: "Engine", work: "Callable[[Connection], T]", read_only: bool) -> T:
        with engine.begin() as connection:
            limit_statements(connection, read_only, self._statement_seconds)
            return work(connection)

    def _not_there(self, reason: str) -> NoDatabaseError:
        self._failure, self._failed_at = reason, -math.inf
        return NoDatabaseError(reason)

    def _failed(self, reason: str) -> NoDatabaseError:
        self._failure, self._failed_at = reason, time.monotonic()
        _log.warning("%s; the next attempt is in %.0f seconds", reason, _RETRY_SECONDS)
        return NoDatabaseError(reason)

    def _engine(self, url: str) -> "Engine":
        from thumblab_core.database.engine import make_engine

        with self._making_engine:
            if url not in self._engines:
                timeouts = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _STATEMENT_MS}
                self._engines[url] = make_engine(
                    url, pool_size=_THREADS, pool_pre_ping=True, pool_timeout=_PATIENCE, connect_args=timeouts
                )
            return self._engines[url]

    def _checked(self, engine: "Engine") -> "Engine":
        """Return the engine if the tables of its database are not newer than this version of the service.

        A newer version of the lab may have changed the tables in any way. So `NewerDatabaseError` is raised for newer
        tables.
        """
        from thumblab_core.database.revisions import refuse_newer

        if engine not in self._known:
            with engine.begin() as connection:
                limit_statements(connection)
                try:
                    refuse_newer(connection)
                except LabError as error:
                    raise NewerDatabaseError(str(error)) from None
            self._known.add(engine)
        return engine


def limit_statements(connection: "Connection", read_only: bool = True, seconds: float | None = None) -> None:
    """Set a time limit for the statements of the transaction. Make the transaction read-only, if `read_only` is true.

    `seconds`: the time limit; None means two seconds.
    """
    from sqlalchemy import text

    limit_ms = _STATEMENT_MS if seconds is None else round(seconds * 1000)
    connection.execute(text(f"SET LOCAL statement_timeout = {limit_ms}"))
    if read_only:
        connection.execute(text("SET LOCAL transaction_read_only = on"))


def _sqlstate(error: Exception) -> str | None:
    """Return the code of an error that the server sent, or None if the error has another cause."""
    return getattr(getattr(error, "orig", None) or error, "sqlstate", None)


def _is_about_a_value(error: Exception) -> bool:
    """Return whether the driver or the server refused a value of the statement.

    Such a value is, for example, a text with a NUL or with a lone surrogate.
    """
    cause = getattr(error, "orig", None) or error
    return isinstance(cause, UnicodeError) or "DataError" in [kind.__name__ for kind in type(cause).__mro__]


def database_message(error: Exception, seconds: float | None = None) -> str:
    """Return what went wrong, in words that depend only on the type of the error.

    `seconds`: the time limit of the statement; None means two seconds.

    The message of the database driver is not used, because it may show the host and the user.
    """
    cause = getattr(error, "orig", None) or error
    kinds = [kind.__name__ for kind in type(cause).__mro__]
    if "QueryCanceled" in kinds:
        limit = _STATEMENT_MS / 1000 if seconds is None else seconds
        return f"the database did not answer within {limit:g} seconds"
    if "OperationalError" in kinds and _sqlstate(error) is None:
        return "the database cannot be reached"
    advice = "; run `thumblab db migrate`" if {"UndefinedTable", "UndefinedColumn"} & set(kinds) else ""
    return f"the database could not answer ({kinds[0]}){advice}"
