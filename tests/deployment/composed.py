"""Read docker-compose.yml and the Dockerfile as Docker does, and start the commands of the services without containers."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE, DOCKERFILE = ROOT / "docker-compose.yml", ROOT / "Dockerfile"
PORTS = (3000, 4000, 5000, 5432, 8000)
"""The ports on which the containers listen."""

_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """Replace `${NAME}`, `${NAME:-DEFAULT}` and `$$` in all texts, as Docker Compose does.

    Raises KeyError if a variable has neither a value nor a default.
    """
    if isinstance(value, dict):
        return {name: interpolated(part, given) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolated(part, given) for part in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        name = match[1] or match[3]
        return given.get(name) or (match[2] if match[2] is not None else given[name])

    return _VARIABLE.sub(replaced, value)


def composed(given: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of docker-compose.yml with its variables replaced.

    `given` contains the variables of the file `.env`.
    """
    read: dict[str, Any] = interpolated(yaml.safe_load(COMPOSE.read_text()), given)
    return read


def image_environment(target: str) -> dict[str, str]:
    """Return the environment variables that the Dockerfile sets in the image `target` and in the images that it is
    based on.
    """
    stages: dict[str, tuple[str, dict[str, str]]] = {}
    name = ""
    for line in DOCKERFILE.read_text().replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = base, {}
        elif word == "ENV":
            stages[name][1].update(part.split("=", 1) for part in rest.split())
    base, own = stages[target]
    return {**(image_environment(base) if base in stages else {}), **own}


@dataclass
class Container:
    """A service of docker-compose.yml that runs as a process of this machine."""

    name: str
    command: list[str]
    environment: dict[str, str]
    healthcheck: list[str] | None
    restarts: bool
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self, folder: Path, log: Path) -> None:
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def healthy(self, folder: Path) -> bool:
        assert self.healthcheck is not None
        done = subprocess.run(self.healthcheck, env=self.environment, cwd=folder, capture_output=True, timeout=120)
        return done.returncode == 0


@dataclass
class Machine:
    """The hosts, ports and paths of this machine, which replace the hosts, ports and paths of the containers.

    `data`, `secrets` and `lab` replace /data, /run/secrets and /lab, the folder of the code. `ports` maps each port in
    `PORTS` to a free port of this machine.
    """

    data: Path
    secrets: Path
    lab: Path
    ports: dict[int, int]
    hosts: tuple[str, ...] = ("postgres", "mlflow", "code-server", "dagster", "scoring")
    dotenv: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """Return `text` after replacing the containers' hosts, ports and paths by the hosts, ports and paths of this
        machine.
        """
        for path, place in (("/data", self.data), ("/run/secrets", self.secrets), ("/lab", self.lab)):
            text = re.sub(rf"(?<![\w.-]){path}(?![\w-])", str(place), text)
        text = re.sub(rf"(?<![\w-])({'|'.join(self.hosts)})(?=:\d)", "127.0.0.1", text)
        text = text.replace("host: code-server", "host: 127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        return re.sub(
            rf"(?<![\w.])({'|'.join(map(str, PORTS))})(?!\w)", lambda found: str(self.ports[int(found[0])]), text
        )

    def make_lab(self) -> None:
        """Make a folder with the files that the image `pipelines` has in /lab, without the installed packages."""
        for name in ("deploy", "dagster-home"):
            (self.lab / name).mkdir(parents=True)
        for file in (ROOT / "deploy").iterdir():
            if file.is_file():
                (self.lab / "deploy" / file.name).write_text(self.here(file.read_text()))
        settings = (ROOT / "dagster.yaml").read_text() + (ROOT / "deploy" / "dagster-storage.yaml").read_text()
        (self.lab / "dagster-home" / "dagster.yaml").write_text(self.here(settings))

    def container(self, name: str, service: dict[str, Any]) -> Container:
        """Return the `Container` of a service that runs the lab's code. The container has the service's own command."""
        # A container gets no environment variable of this process, so the new process must not get these variables
        # either.
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        given = {**image_environment(service["build"]["target"]), **self.dotenv, **service["environment"]}
        environment = {key: self.here(str(value)) for key, value in given.items()} | {"PATH": path}
        check = service.get("healthcheck", {}).get("test")
        assert check is None or check[0] == "CMD"
        return Container(
            name,
            [self.here(word) for word in service["command"]],
            environment | {"OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"},
            None if check is None else [self.here(word) for word in check[1:]],
            restarts=service["restart"] != "no",
        )


class Postgres:
    """The database server of the service `postgres`.

    The server listens on a port and asks the user `thumblab` for a password.
    """

    def __init__(self, folder: Path, password: str, port: int) -> None:
        from thumblab_core.embedded_postgres import location

        self.folder, self._port = folder, port
        folder.mkdir()
        user = location._system_user() if os.geteuid() == 0 else None
        self._as: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C", "PATH": os.environ["PATH"]}}
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._programs = location.programs(None if user is None else (user.pw_uid, user.pw_gid))
        secret = folder / "password"
        secret.write_text(password)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", "data", "-U", "thumblab", "--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8"
        )
        secret.unlink()
        self._password = password

    def start(self) -> None:
        """Start the server, and create the database `thumblab` as the Docker image of PostgreSQL does."""
        options = f"-k {self.folder} -h 127.0.0.1 -p {self._port} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-s", "-D", "data", "-l", "log", "-o", options)
        import psycopg

        access = {"host": "127.0.0.1", "port": self._port, "user": "thumblab", "password": self._password}
        with psycopg.connect(**access, dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE thumblab")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-s", "-D", "data", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # The output goes to a file and not to a pipe. The started database server would keep the pipe open, and
        # `subprocess.run` would wait until the server ends.
        with (self.folder.parent / "postgres-programs.log").open("ab") as log:
            command = [str(self._programs / program), *arguments]
            subprocess.run(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=check, timeout=120, **self._as
            )


def until(true: Any, seconds: float, what: str, every: float = 0.5) -> Any:
    """Call the function `true` until it returns a true value, and return this value. Fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s, this has not happened: {what}"
        time.sleep(every)
    return result
