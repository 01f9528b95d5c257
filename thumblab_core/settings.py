"""Read the settings of the lab from `THUMBLAB_*` variables in the environment or in `.env`.

Every setting has a default that suits a laptop. `thumblab_core.settings_page` makes docs/settings.md from `Settings`.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from thumblab_core.access_settings import AccessSettings
from thumblab_core.computing.ray_settings import RaySettings
from thumblab_core.dotenv_lines import dotenv_files, unreadable_lines, variables_in, without_warnings_of_dotenv
from thumblab_core.encoders.names import is_encoder_name, name_help
from thumblab_core.errors import LabError
from thumblab_core.faces.people_settings import PeopleSettings
from thumblab_core.hosts import bare_host, named_host
from thumblab_core.keys.secret_files import SecretFiles, secret_file_variables
from thumblab_core.monitoring.alert_settings import AlertSettings
from thumblab_core.near_names import nearest
from thumblab_core.running import port_file, read_port, running_lab
from thumblab_core.setting_groups import (
    CollectionSettings,
    ModelSettings,
    ObjectStoreSettings,
    RetentionSettings,
    ServingSettings,
    YouTubeSettings,
    setting,
)

CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository root if the lab runs from a checkout, else the folder that the packages were installed into."""

IS_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()

ENV_FILES = (CHECKOUT / ".env", ".env") if IS_CHECKOUT else (".env",)
"""The files with settings. The first one holds the settings of the checkout's lab, in whichever folder a command runs."""

MLFLOW_PORT = 5000
"""The port of MLflow under `thumblab up`, unless the user gives a different port or this port is taken."""

YOUTUBE_IMAGE_HOSTS = ("i.ytimg.com", *(f"i{number}.ytimg.com" for number in range(1, 10)), "img.youtube.com")
"""The hosts from which YouTube serves thumbnails. docs/service.md explains each host."""

_PREFIX = "THUMBLAB_"

OWN_PLACES = (
    "database_url",
    "release_dir",
    "release_store",
    "image_store",
    "mlflow_tracking_uri",
    "mlflow_page_url",
    "serving_url",
)
"""The settings that say where one lab keeps its data and where its services are. Another lab must not share them."""

_TEST_VARIABLES = {"THUMBLAB_TEST_PICTURES", "THUMBLAB_TEST_REQUESTS"}
"""Variables that only the tests read. The lab gives no warning about these variables, although they are not settings.
"""


def _default_data_dir() -> Path:
    """Return a folder inside the checkout, so that deleting the checkout deletes all data.

    If there is no checkout, return the usual folder of the operating system for a user's data.
    """
    if IS_CHECKOUT:
        return CHECKOUT / ".thumblab"
    return Path(platformdirs.user_data_dir("thumblab"))


class Settings(
    YouTubeSettings,
    CollectionSettings,
    RetentionSettings,
    ModelSettings,
    ServingSettings,
    AccessSettings,
    AlertSettings,
    PeopleSettings,
    ObjectStoreSettings,
    RaySettings,
):
    """The settings of one installation of the lab. A process reads their values once, with `settings()`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=ENV_FILES,
        env_file_encoding="utf-8-sig",  # This codec reads UTF-8 with or without a byte-order mark.
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
    database_password: SecretStr | None = setting(
        None, "The password for `THUMBLAB_DATABASE_URL`, if it is not in the URL. No character needs an escape here."
    )
    release_dir: Path | None = setting(
        None,
        "The folder of the release store. `FAISS_INDEX_PATH` is read too. Unset: `releases` in the data folder.",
        validation_alias=AliasChoices("THUMBLAB_RELEASE_DIR", "FAISS_INDEX_PATH"),
    )
    mlflow_tracking_uri: str | None = setting(
        None,
        "The address of the MLflow server. Unset: the server of the lab's `thumblab up`, or `http://127.0.0.1:5000`.",
    )
    mlflow_page_url: str | None = setting(
        None,
        "The address of MLflow for a browser, to which Dagster's links lead. Unset: the address of the MLflow server.",
    )
    dagster_url: str = setting(
        "http://127.0.0.1:3000",
        "The address of Dagster. MLflow's pages link to it, and the scoring service starts Dagster's jobs there. If "
        "this setting is unset, the service uses only the Dagster of the lab's `thumblab up`.",
    )
    demo_videos: int = setting(1_800, "The number of videos in the synthetic catalogue of the demo.", "videos", ge=60)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read settings from the environment and from `.env`, and secrets also from files.

        A value in the environment has priority over a value in `.env`.
        """
        dotenv = named["dotenv_settings"]
        assert isinstance(dotenv, DotEnvSettingsSource)
        return named["init_settings"], named["env_settings"], SecretFiles(settings_cls, dotenv), dotenv

    @field_validator(
        "database_url",
        "database_password",
        "youtube_api_key",
        "youtube_endpoint",
        "youtube_owner_credentials",
        "release_dir",
        "release_store",
        "image_store",
        "face_model",
        "face_embedder",
        "title_prior",
        "mlflow_tracking_uri",
        "mlflow_page_url",
        "api_key",
        "serving_url",
        "requests_per_minute",
        "serving_webhook_secret",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        """Return None for a blank value. So `THUMBLAB_DATABASE_URL=` in the environment unsets the value in `.env`."""
        return None if value == "" else value

    @field_validator("data_dir", mode="before")
    @classmethod
    def _default_where_blank(cls, value: object) -> object:
        """Return the default for a blank value, because a blank path would mean the current folder."""
        return _default_data_dir() if value == "" else value

    @field_validator(
        "data_dir", "release_dir", "face_model", "face_embedder", "title_prior", "youtube_owner_credentials"
    )
    @classmethod
    def _home_folder(cls, value: Path | None) -> Path | None:
        """Expand the `~` at the start of a path, because no shell expands it in `.env` or in quotes."""
        return value and value.expanduser()

    @field_validator("serving_host")
    @classmethod
    def _normal_host(cls, value: str) -> str:
        return bare_host(value)

    @field_validator("extra_image_hosts", "serving_webhook_hosts")
    @classmethod
    def _normal_hosts(cls, value: str) -> str:
        return ",".join(named_host(host) for host in value.split(",") if host.strip())

    @field_validator("image_encoder")
    @classmethod
    def _is_an_encoder(cls, value: str) -> str:
        """Refuse a misspelt name of an encoder when the settings are read.

        If an encoder has a correct name but cannot be loaded, the error is raised when the encoder is used.
        """
        if not is_encoder_name(value):
            raise ValueError(f"no image encoder has this name; {name_help(value)}")
        return value

    def in_folder(self, data_dir: Path) -> Self:
        """Return the settings of the lab in `data_dir`.

        That lab has its own database, releases, MLflow and scoring service. So the settings of `OWN_PLACES` are unset
        in the result.
        """
        return self.with_values({"data_dir": data_dir, **dict.fromkeys(OWN_PLACES)})

    def with_values(self, values: Mapping[str, object]) -> Self:
        """Return a copy with other values. A value that differs from that of the user does not count as given.

        The names of the settings that the user gave are in `model_fields_set`.
        """
        changed = {name for name, value in values.items() if value != getattr(self, name)}
        copy, given = self.model_copy(update=values), self.model_fields_set - changed
        copy.model_fields_set.intersection_update(given)
        return copy

    def as_environment(self, fields: Iterable[str]) -> dict[str, str]:
        """Return environment variables with the values of the settings in `fields`, for a child process.

        None becomes a blank value, which unsets the setting.
        """
        return {variable(field): _as_text(getattr(self, field)) for field in fields}

    @property
    def releases(self) -> Path:
        """The folder of the releases. Raises `LabError` if the releases are in an object store."""
        if self.release_store is not None:
            raise LabError(
                "the releases are in an object store (THUMBLAB_RELEASE_STORE), and this command works only with releases "
                "in a folder; use the versions or the replication of the bucket to back up releases"
            )
        return self.release_dir or self.data_dir / "releases"

    @property
    def release_cache(self) -> Path:
        """The folder with copies of releases from an object store."""
        return self.data_dir / "release-cache"

    @property
    def images(self) -> Path:
        """The folder of the pictures. Raises `LabError` if the pictures are in an object store."""
        if self.image_store is not None:
            raise LabError(
                "the pictures are in an object store (THUMBLAB_IMAGE_STORE), and this command works only with pictures in "
                "a folder; unset THUMBLAB_IMAGE_STORE for this command"
            )
        return self.data_dir / "images"

    @property
    def image_cache(self) -> Path:
        """The folder with copies of pictures from an object store."""
        return self.data_dir / "image-cache"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow.

        The setting `mlflow_tracking_uri` gives the address. If this setting is not set, the result is the address of
        MLflow in the running `thumblab up`. If no `thumblab up` runs, the port is that of the lab's last start.
        """
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri
        running = running_lab(self.data_dir)
        port = read_port(port_file(self.data_dir, "mlflow")) or MLFLOW_PORT
        return f"http://127.0.0.1:{port}" if running is None else running.mlflow

    @property
    def image_hosts(self) -> frozenset[str]:
        """The hosts from which thumbnails may be read.

        These are YouTube's hosts for thumbnails, the hosts in `extra_image_hosts`, and the host of `youtube_endpoint`,
        which may be the emulator.
        """
        hosts = {*YOUTUBE_IMAGE_HOSTS, *filter(None, self.extra_image_hosts.split(","))}
        if self.youtube_endpoint:
            # A bad endpoint is not reported here, but when the lab calls it.
            with suppress(ValueError):
                hosts.add(named_host(self.youtube_endpoint))
        return frozenset(hosts)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process.

    Raises LabError if a setting has a bad value or `.env` cannot be read. Warns once, on stderr, about each misspelt
    name of a setting and each line of `.env` that cannot be read.
    """
    files = dotenv_files(Settings)
    in_files = [name for file in files for name in variables_in(file, Settings)]
    try:
        with without_warnings_of_dotenv():
            values = Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{variable(str(problem['loc'][0]))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        # `from None` hides the ValidationError. The ValidationError shows the values, which may be secret.
        raise LabError(f"A setting cannot be used: {problems}") from None
    for file in files:
        for number in unreadable_lines(file):
            _warn(f"{file} line {number} is skipped; write NAME=value, or # before a comment")
    for line in _misspelt([*os.environ, *in_files]):
        _warn(line)
    return values


def variable(field: str) -> str:
    """Return the environment variable that sets the field `field` of `Settings`. Return any other name unchanged."""
    return f"THUMBLAB_{field}".upper() if field in Settings.model_fields else field


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _misspelt(names: Iterable[str]) -> Sequence[str]:
    """Return a warning for each name that starts with `THUMBLAB_` but is not the name of a setting."""
    known = {*map(variable, Settings.model_fields), *secret_file_variables(Settings), *_TEST_VARIABLES}
    own_parts = [name.removeprefix(_PREFIX) for name in known]
    sentences = []
    for name in sorted({name.upper() for name in names if name.upper().startswith(_PREFIX)} - known):
        # The names are compared without their common prefix, which would make any two names similar.
        near = nearest(name.removeprefix(_PREFIX), own_parts)
        hint = "" if near is None else f"; do you mean {_PREFIX}{near}?"
        sentences.append(f"{name} is not a setting and has no effect{hint}")
    return sentences


@cache
def _warn(line: str) -> None:
    """Print a warning, but only once per process, even if the settings are read again."""
    print(f"thumblab: {line}", file=sys.stderr)
