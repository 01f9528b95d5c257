"""Make the database server of a test session fast, run SQL on a server, and stop the server after the session."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def keep_in_memory(url: str) -> None:
    """Make the database server of the test session faster.

    After this call, the server confirms a commit before the data is on the disk. With this setting, a power cut could
    lose data, but no test needs the data after the session. Tests that kill a database server start a separate server.
    An example is `core/embedded_postgres/test_database_server.py`.
    """
    # Autovacuum would visit each of the tests' hundreds of databases once a minute, in a new process each time.
    settings = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
    do(url, *(f"ALTER SYSTEM SET {setting} = off" for setting in settings), "SELECT pg_reload_conf()")


def do(url: str, *statements: str) -> Any:
    """Run the SQL statements as the database user that `url` names.

    Return the first value in the result of the last statement, or None if this result has no rows.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = [connection.execute(text(statement)) for statement in statements][-1]
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


def stop_server(folder: Path) -> None:
    """Stop the database server of a data folder, and delete the files that the server left outside the folder."""
    from thumblab_core.embedded_postgres import location, watcher

    home = location.find_home(folder)
    if home is None:
        return
    with watcher.locked(home, "start.lock"):
        # The server's processes are killed. An orderly stop would take longer, because the server would first write the
        # databases to the disk, and the databases are deleted anyway.
        for process in watcher.processes(home):
            with suppress(psutil.NoSuchProcess):  # The server's main process may have ended this process already.
                process.kill()
        watcher.stop(home)
    if (folder / "postgres").is_symlink():
        shutil.rmtree(home)
    for link in Path("/tmp").glob(f"{watcher.folder_tag(home)}-*"):
        link.unlink()
