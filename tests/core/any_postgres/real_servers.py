"""Run real PostgreSQL servers and PgBouncers with any configuration, each in its own folder."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from thumblab_core.embedded_postgres import location

PASSWORD = "PasswordOfTheDatabase@:/%#? é"
"""A password with every character that has a meaning in a URL. `leaks.py` searches all logs for the beginning of this
password.
"""
_PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def without_pgvector() -> Path | None:
    """Return the folder of the programs of Debian's PostgreSQL, or None if the package is not installed."""
    return _DEBIAN[-1].parent if _DEBIAN else None


class RealServer:
    """A PostgreSQL server with passwords (SCRAM) over TCP, on 127.0.0.1 and ::1, and with a socket in `folder`."""

    def __init__(self, programs: Path | None = None, settings: dict[str, str] | None = None) -> None:
        self.folder = _new_folder()
        self.port = _free_port()
        self._owner = _owner()
        self._programs = programs or location.programs(self._owner)
        self._process: subprocess.Popen[bytes] | None = None
        self.data = self.folder / "data"
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        self._give(secret)
        initdb = [self._programs / "initdb", "-D", self.data, "-U", "postgres", "--no-sync", "--locale=C", "-E", "UTF8"]
        self._run(*initdb, "--auth-host=scram-sha-256", "--auth-local=scram-sha-256", f"--pwfile={secret}")
        chosen = {
            "port": str(self.port),
            "listen_addresses": "'127.0.0.1,::1'",
            "fsync": "off",
            "log_statement": "none",
        }
        chosen |= {"unix_socket_directories": f"'{self.folder}'", **(settings or {})}
        with (self.data / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = {value}\n" for name, value in chosen.items())
        self.start()

    def start(self) -> None:
        self._process = self._spawn(self._programs / "postgres", "-D", self.data)
        _wait(lambda: not self._refuses(), self._process)

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(2)  # With SIGINT, the server ends all sessions and then stops.
        self._process.wait(30)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def do(self, *statements: str, database: str = "postgres") -> Any:
        """Run the SQL statements as superuser. Return the first value of the last statement's result, if the result has
        rows.
        """
        with self.connect(database) as connection:
            answers = [connection.execute(sql.SQL(statement)) for statement in statements]  # type: ignore[arg-type]
            row = answers[-1].fetchone() if answers[-1].description else None
            return row[0] if row else None

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        access = {"host": str(self.folder), "port": self.port, "user": "postgres", "password": PASSWORD}
        return psycopg.connect(dbname=database, autocommit=True, **access)  # type: ignore[arg-type]

    def url(self, user: str, database: str, host: str = "127.0.0.1", parameters: str = "", port: int = 0) -> str:
        """Return the URL of a database, with the percent-encoded password."""
        return f"postgresql://{user}:{quote(PASSWORD, safe='')}@{host}:{port or self.port}/{database}{parameters}"

    def with_certificate(self) -> Path:
        """Turn on TLS with a certificate for `localhost` from a new authority. Return the file of the authority's
        certificate.
        """
        ca, key, request = self.folder / "ca.crt", self.data / "server.key", self.folder / "request"
        new = ["-newkey", "rsa:2048", "-nodes", "-subj"]
        _openssl("req", "-x509", *new, "/CN=Authority", "-days", "2", "-keyout", self.folder / "ca.key", "-out", ca)
        _openssl("req", *new, "/CN=localhost", "-keyout", key, "-out", request)
        signed = ["-CA", ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "2"]
        _openssl("x509", "-req", "-in", request, *signed, "-out", self.data / "server.crt")
        for file in (key, self.data / "server.crt"):
            self._give(file)
        key.chmod(0o600)
        self.do("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
        _wait(lambda: self.do("SHOW ssl") == "on", self._process)
        return ca

    def pooler(self, mode: str, **settings: str) -> "Pooler":
        return Pooler(self, mode, settings)

    def _refuses(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return True
        return False

    def _give(self, path: Path) -> None:
        if self._owner:
            os.chown(path, *self._owner)

    def _run(self, *command: Any) -> None:
        done = subprocess.run(command, capture_output=True, cwd=self.folder, env=_environment(), **_as(self._owner))
        assert done.returncode == 0, done.stderr.decode()

    def _spawn(self, *command: Any) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(  # type: ignore[no-any-return]
                command, stdout=log, stderr=log, cwd=self.folder, env=_environment(), **_as(self._owner)
            )


class Pooler:
    """A PgBouncer in front of a server. The pooler logs in to the server as the user that the client names."""

    def __init__(self, server: RealServer, mode: str, settings: dict[str, str]) -> None:
        assert _PGBOUNCER is not None
        self.port = _free_port()
        self._folder = server.folder / f"pooler-{self.port}"
        self._folder.mkdir()
        chosen = {"listen_addr": "127.0.0.1", "listen_port": str(self.port), "auth_type": "plain", "pool_mode": mode}
        chosen |= {"auth_file": f"{self._folder}/users", "unix_socket_dir": "", "logfile": f"{self._folder}/log"}
        chosen |= {"pidfile": f"{self._folder}/pid", "default_pool_size": "3", **settings}
        lines = [f"{name} = {value}" for name, value in chosen.items()]
        databases = f"[databases]\n* = host={server.folder} port={server.port}\n[pgbouncer]\n"
        (self._folder / "ini").write_text(databases + "\n".join(lines) + "\n")
        roles = server.do("SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolcanlogin").split()
        (self._folder / "users").write_text("".join(f'"{role}" "{PASSWORD}"\n' for role in roles))
        for path in (self._folder, *self._folder.iterdir()):
            if owner := _owner():
                os.chown(path, *owner)
        self._process = subprocess.Popen([_PGBOUNCER, self._folder / "ini"], stderr=subprocess.DEVNULL, **_as(_owner()))
        _wait(lambda: not socket.socket().connect_ex(("127.0.0.1", self.port)), self._process)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def has_pgbouncer() -> bool:
    return _PGBOUNCER is not None


def _owner() -> tuple[int, int] | None:
    """Return the ids of the user and the group that must run the servers, or None for the present user.

    PostgreSQL and PgBouncer refuse to run as root.
    """
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


def _as(owner: tuple[int, int] | None) -> dict[str, Any]:
    return {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="thumblab-pg-"))
    folder.chmod(0o755)
    if owner := _owner():
        os.chown(folder, *owner)
    return folder


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _openssl(*arguments: Any) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _wait(ready: Any, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.03)
