"""Fixtures that all tests share.

The fixtures keep the tests away from the user's own lab, and let all tests of one process use one embedded database
server.
"""

import errno
import gc
import io
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from leaks import LEAKS, files_with_a_key, keep_values_readable, tables_with_a_secret
from PIL import Image, ImageDraw
from pydantic import SecretStr
from session_server import keep_in_memory, stop_server
from tiny_clip import TinyClip, tiny_clip

from thumblab_core.settings import Settings, settings


def pytest_configure(config: pytest.Config) -> None:
    logging.getLogger().addHandler(LEAKS)
    # If a shell starts this process in the background, SIGINT is ignored. The import of Dagster makes SIGTERM use the
    # handler of SIGINT. Without the next lines, the tests and the programs that they start would therefore ignore
    # SIGTERM too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # On a busy machine, the first answer of a service may take longer than the 5 s that httpx waits by default.
    DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.connect = 60.0
    config.addinivalue_line("markers", "last: run this test after the others, because it ends what they share")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector skip the modules and the tests that pytest loads before the first test.

    These modules and tests are about 300,000 objects, which stay in memory until the process ends. Without this
    function, the garbage collector searches these objects again and again. The searches take 5 % of the processor time
    of a test process.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def _folder(path: Path) -> str:
    """Return the folder of a test file below tests/, such as `serving`."""
    return path.relative_to(Path(__file__).parent).parts[0]


_LONGEST_FIRST = ("e2e", "serving", "pipelines")
"""The folders whose tests run first, in this order. The tests of all other folders run afterwards."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests in the folders of `_LONGEST_FIRST` first. In each folder, run tests marked `last` at the end.

    The tests of tests/e2e take the longest, and a single worker process runs all of these tests. If this process began
    with other tests, the other worker processes would have to wait for this process at the end. The files of
    tests/serving come next, because some of these files take half a minute.
    """

    def rank(item: pytest.Item) -> tuple[int, bool]:
        folder = _folder(item.path)
        place = _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)
        return place, item.get_closest_marker("last") is not None

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker process one file at a time, in the order of `pytest_collection_modifyitems`.

    All files of tests/e2e count as one file, because they share a running lab. All files of tests/serving/dagster_runs
    also count as one file, because they share a running Dagster.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder.endswith(("/e2e", "/dagster_runs")) else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


# The names in this list do not start with THUMBLAB_, but `Settings` reads these environment variables too.
_OTHER_NAMES = (
    "YOUTUBE_API_KEY",
    "FAISS_INDEX_PATH",
    "FACE_PERSON_MATCH_THRESHOLD",
    "FACE_UNKNOWN_CLUSTERING_METHOD",
    "FACE_UNKNOWN_MIN_CLUSTER_SIZE",
    "FACE_TRIPLET_MARGIN",
    "FACE_TRAINING_EPOCHS",
)


@pytest.fixture(scope="session", autouse=True)
def session_folder() -> Iterator[Path]:
    """The data folder of the test session. In all tests and their processes, THUMBLAB_DATA_DIR names this folder."""
    # Only the user who runs the tests can enter the folders that pytest makes. If root runs the tests, the embedded
    # server runs as another user, who must be able to enter this folder.
    folder = Path(tempfile.mkdtemp(prefix="thumblab-tests-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("THUMBLAB_") or name in _OTHER_NAMES]:
            patch.delenv(name)
        patch.setenv("THUMBLAB_DATA_DIR", str(folder))
        patch.setitem(Settings.model_config, "env_file", None)
        yield folder
        stop_server(folder)
    # The folder has tens of thousands of files, and deleting them takes up to a minute. Nobody should wait for this.
    subprocess.Popen(["rm", "-rf", folder], start_new_session=True)


@pytest.fixture(scope="session", autouse=True)
def nothing_leaked(session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Check that the tests wrote no secret into a log record or a table, and no YouTube key into a file.

    Each worker process of pytest checks once, after its last test. If the process finds a leak, pytest reports the leak
    as an error of the last test.
    """
    yield
    leaks = [*LEAKS.found, *tables_with_a_secret(session_folder), *files_with_a_key(tmp_path_factory.getbasetemp())]
    assert leaks == [], "secrets of the tests were written"


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Let Alembic read each folder of migrations only once in a process.

    Each new instance of Dagster writes the number of its newest migration into two databases. For each database,
    Alembic would load Dagster's 88 migrations again. Loading the migrations took most of the processor time of making
    an instance.
    """
    from alembic.script import ScriptDirectory

    read, found = ScriptDirectory.from_config, {}

    def reading(config: Any) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in found:
            found[folder] = read(config)
        return found[folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", staticmethod(reading))
        yield


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch, session_folder: Path) -> Iterator[None]:
    """Before each test, remove the environment variables of the lab's settings, and set only THUMBLAB_DATA_DIR.

    THUMBLAB_DATA_DIR names the data folder of the session. Also clear the cache of settings, so that each test reads
    the settings again.
    """
    for name in [name for name in os.environ if name.startswith("THUMBLAB_") or name in _OTHER_NAMES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(session_folder))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that takes a path, and makes `Path.open` raise "Too many open files" for this path."""
    open_ = Path.open
    refused: set[Path] = set()

    def opened(path: Path, *given: Any, **named: Any) -> Any:
        if path in refused:
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return open_(path, *given, **named)

    monkeypatch.setattr(Path, "open", opened)
    return refused.add


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, such as thumbnails and recorded answers of YouTube. This folder is not in the
    repository.
    """
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no real data in {folder}")
    return folder


@pytest.fixture(scope="session")
def new_database(session_folder: Path) -> Callable[[], str]:
    """Return a function that makes an empty database on the session's server and returns its URL."""
    from thumblab_core.database.urls import named_database_url

    own = Settings(data_dir=session_folder)
    made = 0
    server = named_database_url("test_0", settings=own)
    keep_in_memory(server)
    keep_values_readable(server)

    def make() -> str:
        nonlocal made
        made += 1
        return named_database_url(f"test_{made}", settings=own)

    return make


_opened: list[Any] = []
"""The labs that the fixture `open_lab` opened."""


@pytest.fixture(scope="session")
def copied_database(new_database: Callable[[], str]) -> Iterator[Callable[[str], str]]:
    """Return a function that copies a database of the session's server and returns the URL of the copy.

    PostgreSQL refuses to copy a database while any process is connected to it. The function therefore closes the idle
    connections of the labs that `open_lab` opened.
    """
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import DBAPIError

    made = 0
    server = create_engine(make_url(new_database()).set(database="postgres"), isolation_level="AUTOCOMMIT")

    def make(url: str) -> str:
        nonlocal made
        made += 1
        name, original = f"copy_{made}", make_url(url)
        for lab in _opened:
            if lab.engine.url.database == original.database:
                lab.engine.dispose()
        # PostgreSQL can copy the files of a database (FILE_COPY), or write every page of the database to its log. On
        # this server, FILE_COPY is several times faster, because the server does not wait for the disk. With the method
        # `clone`, the kernel copies the files, which halves the time. Not every kernel supports this method.
        for method in ("clone", "copy"):
            try:
                with server.connect() as connection:
                    connection.execute(text(f"SET file_copy_method = {method}"))
                    connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {original.database} STRATEGY FILE_COPY"))
                break
            except DBAPIError:
                if method == "copy":
                    raise
        return original.set(database=name).render_as_string(hide_password=False)

    yield make
    server.dispose()


@pytest.fixture(scope="session")
def migrated_database(new_database: Callable[[], str], copied_database: Callable[[str], str]) -> Callable[[], str]:
    """Return a function that makes a database with the current schema.

    The function copies one migrated database, because a copy is ten times as fast as a migration.
    """
    from thumblab_core.database.schema import migrate

    original = new_database()
    migrate(original)
    return lambda: copied_database(original)


@pytest.fixture(scope="session")
def open_lab(migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that opens a new lab.

    The function takes settings of the lab as keyword arguments. If a test passes another lab as `beside`, the new lab
    uses the data folder and the database of the other lab. Otherwise, the new lab gets its own data folder and its own
    database.
    """
    from thumblab_pipelines.lab import Lab

    def open_one(beside: Lab | None = None, **chosen: Any) -> Lab:
        values = {"data_dir": tmp_path_factory.mktemp("lab"), "image_encoder": "builtin"}
        if beside is None:
            values["database_url"] = SecretStr(migrated_database())
        else:
            values |= beside.settings.model_dump(exclude_unset=True)
        _opened.append(Lab.open(Settings(**(values | chosen))))
        return _opened[-1]

    return open_one


@pytest.fixture(autouse=True)
def idle_connections_closed() -> Iterator[None]:
    """Close idle connections after each test. Otherwise hundreds of labs would use up the connections of the server."""
    yield
    for lab in _opened:
        if lab.engine.pool.checkedin():
            lab.engine.dispose()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyClip:
    """A tiny open_clip model. The lab loads this model in the same way as the large model ViT-L/14."""
    return tiny_clip(tmp_path_factory.mktemp("tiny-clip"))


@pytest.fixture(scope="session")
def drawn() -> Callable[..., bytes]:
    """Return a function that draws a thumbnail. Equal seeds result in equal files."""

    def draw(seed: int = 0, size: tuple[int, int] = (320, 180), kind: str = "JPEG", mode: str = "RGB") -> bytes:
        random = np.random.default_rng(seed)
        image = Image.new("RGB", size, tuple(random.integers(0, 256, 3).tolist()))
        pen = ImageDraw.Draw(image)
        for _ in range(int(random.integers(6, 14))):
            x, y, r = (int(random.integers(0, n)) for n in (size[0], size[1], 60))
            pen.ellipse((x - r - 8, y - r - 8, x + r + 8, y + r + 8), fill=tuple(random.integers(0, 256, 3).tolist()))
        out = io.BytesIO()
        image.convert(mode).save(out, kind)
        return out.getvalue()

    return draw


@pytest.fixture
def pictures(tmp_path: Path, drawn: Callable[..., bytes]) -> list[Path]:
    """Three pictures that look different: a.jpg, b.jpg and c.jpg."""
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for seed, path in enumerate(paths):
        path.write_bytes(drawn(seed))
    return paths
