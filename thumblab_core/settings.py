"""Every setting of the lab: `THUMBLAB_*` variables in the environment or in `.env`. Each has a default for a laptop.

`docs/settings.md` is generated from them; see `thumblab_core.settings_page`.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import DotEnvSettingsSource, SettingsConfigDict

from thumblab_core.encoders.names import is_encoder_name, name_help
from thumblab_core.errors import LabError
from thumblab_core.hosts import bare_host, named_host
from thumblab_core.near_names import nearest
from thumblab_core.running import running_lab
from thumblab_core.setting_groups import (
    CollectionSettings,
    ModelSettings,
    RetentionSettings,
    ServingSettings,
    YouTubeSettings,
    setting,
)

CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository root when the lab runs from a checkout; otherwise the folder that the packages were installed into."""

MLFLOW_PORT = 5000
"""The port of MLflow under `thumblab up`, unless another is given or the port is taken."""

YOUTUBE_IMAGE_HOSTS = ("i.ytimg.com", "i1.ytimg.com", "i2.ytimg.com", "i3.ytimg.com", "i4.ytimg.com", "img.youtube.com")

_PREFIX = "THUMBLAB_"

_TEST_VARIABLES = {"THUMBLAB_TEST_PICTURES"}
"""Variables that only the tests read."""


def _default_data_dir() -> Path:
    """A checkout keeps its data inside itself, so deleting it deletes everything; an install uses the user's folder."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".thumblab"
    return Path(platformdirs.user_data_dir("thumblab"))


class Settings(YouTubeSettings, CollectionSettings, RetentionSettings, ModelSettings, ServingSettings):
    """What may differ between two installations of the lab. Each process reads its values once, see `settings()`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_file_encoding="utf-8-sig",  # UTF-8 with or without a byte-order mark
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        allow_inf_nan=False,
    )

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="The folder of the images, the releases, the embedded database and Dagster's files. Unset: "
        "`.thumblab` in a checkout, otherwise the user's data folder of the system.",
    )
    database_url: SecretStr | None = setting(
        None,
        "The URL of a PostgreSQL server with pgvector (Supabase is one). Unset: the lab runs its own server inside the "
        "data folder.",
    )
    release_dir: Path | None = setting(
        None,
        "The folder of the release store. `FAISS_INDEX_PATH` is read too. Unset: `releases` in the data folder.",
        validation_alias=AliasChoices("THUMBLAB_RELEASE_DIR", "FAISS_INDEX_PATH"),
    )
    mlflow_tracking_uri: str | None = setting(
        None,
        "The address of the MLflow server. Unset: the one of the lab's `thumblab up`, or `http://127.0.0.1:5000`.",
    )
    dagster_url: str = setting(
        "http://127.0.0.1:3000", "The address of the Dagster UI, to which the runs in MLflow link."
    )
    demo_videos: int = setting(1_800, "Videos in the synthetic catalogue of the demo.", "videos", ge=60)

    @field_validator(
        "database_url",
        "youtube_api_key",
        "youtube_endpoint",
        "youtube_owner_credentials",
        "release_dir",
        "face_model",
        "mlflow_tracking_uri",
        "api_key",
        "serving_url",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        """`THUMBLAB_DATABASE_URL=` in the environment unsets the value in `.env`."""
        return None if value == "" else value

    @field_validator("data_dir", mode="before")
    @classmethod
    def _default_where_blank(cls, value: object) -> object:
        """Blank means unset here too; as a path it would be the current folder."""
        return _default_data_dir() if value == "" else value

    @field_validator("data_dir", "release_dir", "face_model", "youtube_owner_credentials")
    @classmethod
    def _home_folder(cls, value: Path | None) -> Path | None:
        """Expand the `~` of a path in `.env` or in quotes, where no shell does."""
        return value and value.expanduser()

    @field_validator("serving_host")
    @classmethod
    def _normal_host(cls, value: str) -> str:
        return bare_host(value)

    @field_validator("extra_image_hosts")
    @classmethod
    def _normal_hosts(cls, value: str) -> str:
        return ",".join(named_host(host) for host in value.split(",") if host.strip())

    @field_validator("image_encoder")
    @classmethod
    def _is_an_encoder(cls, value: str) -> str:
        """Refuse a misspelt name here, before a command works with it. Whether the encoder can be loaded shows later."""
        if not is_encoder_name(value):
            raise ValueError(f"no image encoder has this name; {name_help(value)}")
        return value

    def in_folder(self, data_dir: Path) -> Self:
        """Return the settings of another lab, in `data_dir`, with its own database, releases, MLflow and service."""
        own = {"database_url": None, "release_dir": None, "mlflow_tracking_uri": None, "serving_url": None}
        return self.model_copy(update={"data_dir": data_dir, **own})

    def as_environment(self, fields: Iterable[str]) -> dict[str, str]:
        """Return variables that give a child process the values of these fields. None becomes blank, which unsets it."""
        return {variable(field): _as_text(getattr(self, field)) for field in fields}

    @property
    def releases(self) -> Path:
        return self.release_dir or self.data_dir / "releases"

    @property
    def images(self) -> Path:
        return self.data_dir / "images"

    @property
    def mlflow_url(self) -> str:
        """The setting; where it is unset, the address of MLflow under the lab's `thumblab up`, or its default."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri
        running = running_lab(self.data_dir)
        return f"http://127.0.0.1:{MLFLOW_PORT}" if running is None else running.mlflow

    @property
    def image_hosts(self) -> frozenset[str]:
        """Hosts from which thumbnails may be read: YouTube's, those of the setting, and the emulator's."""
        hosts = {*YOUTUBE_IMAGE_HOSTS, *filter(None, self.extra_image_hosts.split(","))}
        if self.youtube_endpoint:
            with suppress(ValueError):  # a bad endpoint is reported where it is called
                hosts.add(named_host(self.youtube_endpoint))
        return frozenset(hosts)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process.

    Raises LabError where a setting has a bad value. Warns once, on stderr, of each misspelt name and unreadable line.
    """
    file = Settings.model_config.get("env_file")
    try:
        with _without_warnings_of_dotenv():
            in_file = DotEnvSettingsSource(Settings).env_vars
            if any("\0" in name for name in in_file):
                raise UnicodeError  # ASCII text in UTF-16 is valid UTF-8 with a null byte beside each letter
            values = Settings()
        unreadable = _unreadable_lines(Path(str(file)))
    except ValidationError as error:
        problems = "; ".join(
            f"{variable(str(problem['loc'][0]))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        # `from None`: the ValidationError shows the values, which may be secret.
        raise LabError(f"A setting cannot be used: {problems}") from None
    except UnicodeError:
        raise LabError(f"{Path(str(file)).resolve()} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise LabError(f"{Path(str(file)).resolve()} cannot be read ({error.strerror}); make it readable") from None
    for number in unreadable:
        _warn(f"{Path(str(file)).resolve()} line {number} is skipped; write NAME=value, or # before a comment")
    for line in _misspelt([*os.environ, *in_file]):
        _warn(line)
    return values


@contextmanager
def _without_warnings_of_dotenv() -> Iterator[None]:
    """Keep quiet about lines of `.env` in the block; `_unreadable_lines` finds them, and the file is named with them."""
    logger = logging.getLogger("dotenv.main")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def _unreadable_lines(file: Path) -> list[int]:
    """Return the numbers, from 1, of the lines of a `.env` file that are no setting and no comment."""
    from dotenv.parser import parse_stream

    if not file.is_file():
        return []
    with file.open(encoding="utf-8-sig") as stream:
        failed = [binding.original for binding in parse_stream(stream) if binding.error]
    # The text of a failed line starts with the blank lines above it.
    return [text.line + text.string[: -len(text.string.lstrip())].count("\n") for text in failed]


def variable(field: str) -> str:
    """Return the environment variable of a field; any other name is returned as it is."""
    return f"THUMBLAB_{field}".upper() if field in Settings.model_fields else field


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _misspelt(names: Iterable[str]) -> Sequence[str]:
    """Return a sentence for each `THUMBLAB_*` name that is not a setting."""
    known = {*map(variable, Settings.model_fields), *_TEST_VARIABLES}
    own_parts = [name.removeprefix(_PREFIX) for name in known]
    sentences = []
    for name in sorted({name.upper() for name in names if name.upper().startswith(_PREFIX)} - known):
        near = nearest(name.removeprefix(_PREFIX), own_parts)  # the common prefix would make any two names alike
        hint = "" if near is None else f"; do you mean {_PREFIX}{near}?"
        sentences.append(f"{name} is not a setting and has no effect{hint}")
    return sentences


@cache
def _warn(line: str) -> None:
    """Print a warning, once in a process even where the settings are read again."""
    print(f"thumblab: {line}", file=sys.stderr)
