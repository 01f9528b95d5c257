"""Start the lab's own database again when the database has ended, and keep the log of the database small."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from thumblab_cli.servers.logs import MOST_BYTES
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

_LONG_LIFE = 120.0


class DatabaseWatch:
    """A watch over the embedded database of a lab. An external database is not watched, because the lab does not start
    it.
    """

    def __init__(self, settings: Settings, pauses: Sequence[float] = (0.0, 5.0, 25.0, 60.0, 300.0)) -> None:
        """`pauses` contains the seconds to wait before the first restart of the database, before the second restart,
        and so on.

        The last pause is used for all later restarts. If the database has run for two minutes, the next restart has the
        first pause again.
        """
        self._settings = settings
        self._pauses = pauses
        self._ends = 0
        self._last_end = self._due = 0.0

    def mend(self, report: Callable[[str], None]) -> None:
        """Start the database again if it has ended, and call `report` with a sentence about the restart.

        Raise LabError if the files of the database are gone. A new, empty database would hide this loss, so no new
        database is made.
        """
        from thumblab_core.database.urls import running_database_url
        from thumblab_core.embedded_postgres import location, server

        if running_database_url(self._settings) is not None:
            self._shorten_log()
            return
        home, log = location.find_home(self._settings.data_dir), self._settings.data_dir / "postgres" / "log"
        if home is None or not (home / "data").is_dir():
            raise LabError(
                f"the lab's database has ended, and its files in {self._settings.data_dir / 'postgres'} are gone"
            )
        now = time.monotonic()
        if now - self._last_end > _LONG_LIFE:
            self._ends = 0
        if now < self._due:
            return
        report(f"the lab's database has ended; its log is {log}. It is started again (restart {self._ends + 1}).")
        try:
            server.start(self._settings)
            report("the lab's database is ready again")
        except LabError as error:
            report(str(error))
        self._ends += 1
        self._last_end = time.monotonic()
        self._due = self._last_end + self._pauses[min(self._ends, len(self._pauses) - 1)]

    def _shorten_log(self) -> None:
        """Copy a large log to `log.1`, and then empty it. The server keeps the file open, so the file itself must stay.

        Lines that the server logs between these two steps are lost. The server only appends to the file, so the server
        continues at the new end of the file.
        """
        log = self._settings.data_dir / "postgres" / "log"
        with suppress(OSError):  # The database is external, or the disk is full. The next call tries again.
            if log.stat().st_size > MOST_BYTES:
                shutil.copyfile(log, log.with_name("log.1"))
                os.truncate(log, 0)
