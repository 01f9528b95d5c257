"""Import a channel from Studio exports of its owner, without a YouTube API key.

The exports list the videos of the channel with title, date, length and views. The thumbnails are downloaded from
YouTube's image host by the ids of the videos.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Row, Text, any_, func, literal, select, text

from thumblab_core.channel_imports.report import ProposedNiche
from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.experiments.usual_ctr import usual_ctr
from thumblab_pipelines.channels.adapter import fit_channel_adapter, served_model
from thumblab_pipelines.channels.adapter_videos import encode_channel_videos
from thumblab_pipelines.channels.add import AddedChannel
from thumblab_pipelines.channels.collect import niche_of
from thumblab_pipelines.channels.export_channel import (
    SOURCE,
    ExportChannel,
    GivenExports,
    NotYoursError,
    channel_of_exports,
    one_import_at_a_time,
)
from thumblab_pipelines.channels.export_pictures import MissingPictures, fetch_pictures, picture_urls
from thumblab_pipelines.channels.move_channel import move_channel
from thumblab_pipelines.channels.ready_encoders import load_encoders
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niches.of_titles import propose_niche
from thumblab_pipelines.owner_ctr.studio import StudioImport, export_day, import_studio
from thumblab_pipelines.owner_ctr.studio_columns import TableColumns, UnknownColumnsError, joined
from thumblab_pipelines.owner_ctr.studio_videos import ExportedVideo, read_videos
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord, save_channels, save_videos

_BATCH = 500

_LEARNABLE = text("""
SELECT count(*) FROM true_ctr c JOIN thumbnails t ON t.video_id = c.video_id
WHERE c.is_short IS NOT TRUE AND t.sha256 IS NOT NULL
""")


class NoNicheError(LabError):
    """Raised if a new channel has no niche, or if the given niche does not exist.

    `proposal`: the niche that the lab proposes for a new channel, or None if the given niche does not exist.
    """

    def __init__(self, message: str, proposal: ProposedNiche | None = None) -> None:
        super().__init__(message)
        self.proposal = proposal


@dataclass
class ImportedExports:
    """The result of importing the exports of a channel.

    `videos`: number of imported videos that the lab has now. `new`: number of imported videos that are new in the lab.
    `left_out`: number of videos that were not imported, by reason. `pictures`: number of videos with a picture.
    `no_pictures`: why no video has a picture; empty if some videos have a picture. `downloaded`: number of pictures
    that this import downloaded. `without_picture`: number of videos without a picture. `missing`: for each of the
    newest videos without a picture, a sentence with the reason. `refused`: a sentence for each export that could not be
    read. `tables`: the columns of the tables that were read, and of tables in which needed columns were not recognised.
    `ctr`: the result of importing the click-through rates.

    `library_needs` is set by `add_exports`: how many more videos the niche needs before an import builds the niche's
    library. `learnable`: number of the lab's videos whose click-through rate can be used in training. `usual_ctr`:
    the channel's click-through rate over all impressions, or None if it has too few impressions.
    """

    channel: Channel
    niche: str
    videos: int = 0
    new: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    downloaded: int = 0
    without_picture: int = 0
    no_pictures: str = ""
    missing: list[str] = field(default_factory=list)
    causes: list[MissingPictures] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    tables: list[TableColumns] = field(default_factory=list)
    ctr: list[StudioImport] = field(default_factory=list)
    learnable: int = 0
    library_needs: int = 0
    usual_ctr: float | None = None


@dataclass
class _ReadExports:
    """The contents of the exports: their videos by id, the files that were read, and the errors of the remaining
    files."""

    videos: dict[str, ExportedVideo] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    refused: list[LabError] = field(default_factory=list)
    tables: list[TableColumns] = field(default_factory=list)


def import_exports(lab: Lab, given: GivenExports, progress: Progress = silent) -> ImportedExports:
    """Import the videos, the click-through rates and the thumbnails of a channel from its exports.

    A second import of the same exports changes nothing, and requests only the thumbnails that are still missing. If an
    export cannot be read, the remaining exports are still imported. Videos that were collected from YouTube keep their
    facts.

    If the channel of the exports is in another niche than the given niche, the channel is moved, see `move_channel`.

    If the exports were sent with an API key, they change only the videos and click-through rates of this key's own
    channels.

    Raises `EncoderMissingError` before the first thumbnail is downloaded, if an encoder cannot be loaded. The videos
    are then stored already. After each of the following errors, nothing has changed. Raises `LabError` if no export can
    be read, or if no video of the exports can be used. Raises `NoNameError`, `NotYoursError` or `LabError` if
    `channel_of_exports` finds no channel for the exports. Raises `NoNicheError` if the niche is missing or does not
    exist.
    """
    niches = lab.niches
    if given.niche is not None and given.niche not in niches:
        raise NoNicheError(f"there is no niche {given.niche[:80]!r}; the niches are {', '.join(niches)}")
    read = _read(given, progress)
    exported, tables = read.videos, read.tables
    left_out = Counter(reason for video in exported.values() if (reason := video.lacks()) is not None)
    usable = [video for video in exported.values() if video.lacks() is None]
    if not usable:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in left_out.items())
        message = f"none of the {len(exported)} videos of the exports can be used: {reasons}"
        lacking = [table for table in tables if table.missing]
        raise UnknownColumnsError(message, lacking) if lacking else LabError(message)
    with one_import_at_a_time(lab):
        with lab.engine.connect() as connection:
            chosen = channel_of_exports(connection, given, exported)
        channel = chosen.channel
        usable = [video for video in usable if video.video_id not in chosen.barred]
        if not usable:
            raise NotYoursError(f"no video of the exports may be imported into {channel.title!r}; {chosen.remarks[-1]}")
        known_niche = niche_of(lab, channel.channel_id)
        niche = known_niche or given.niche
        result = None if niche is None else _store(lab, given, read, usable, chosen, known_niche)
    if result is None:  # The lab compares titles here, without the lock, so that other imports need not wait.
        raise _without_niche(lab, channel, usable)
    result.left_out = dict(left_out)
    ids = [video.video_id for video in usable]
    pictures = fetch_pictures(lab, ids, progress, lambda: load_encoders(lab, progress))
    result.downloaded, result.without_picture, result.missing = pictures.downloaded, pictures.lacking, pictures.missing
    result.pictures, result.causes = result.videos - pictures.lacking, pictures.causes
    result.no_pictures = "" if result.pictures else pictures.why
    result.remarks.extend(pictures.problems)
    with lab.engine.connect() as connection:
        result.learnable = connection.execute(_LEARNABLE).scalar_one()
        usual = usual_ctr(connection, channel.channel_id)
    result.usual_ctr = None if usual is None else usual.ctr
    return result


def _store(
    lab: Lab,
    given: GivenExports,
    read: _ReadExports,
    usable: Sequence[ExportedVideo],
    chosen: ExportChannel,
    known_niche: str | None,
) -> ImportedExports:
    """Store the videos and the click-through rates of the exports. `known_niche`: the niche that the channel has."""
    channel, tables = chosen.channel, read.tables
    niche, moved = known_niche or given.niche or "", ""
    if known_niche is not None and given.niche not in (None, known_niche):
        moved = move_channel(lab, channel, known_niche, given.niche or "", SOURCE)
        niche = niche_of(lab, channel.channel_id) or known_niche
    result = ImportedExports(channel, niche, remarks=chosen.remarks, tables=tables)
    result.refused = [str(error) for error in read.refused]
    result.tables += [t for error in read.refused if isinstance(error, UnknownColumnsError) for t in error.tables]
    result.remarks += [moved] if moved else []
    result.remarks.extend(_without_length(lab, usable, tables))
    _save(lab, usable, result)
    rated = _videos_of(lab, channel, read.videos) if given.owner else set(read.videos) - chosen.barred
    for file in read.files:
        try:
            result.ctr.append(import_studio(lab, file, given.as_of, given.columns, rated))
        except LabError as error:
            result.remarks.append(f"no click-through rates: {error}")
    return result


def _without_niche(lab: Lab, channel: Channel, usable: Sequence[ExportedVideo]) -> NoNicheError:
    """Return the error for a new channel without a niche, with the niche that the lab proposes."""
    newest_first = sorted(usable, key=lambda video: video.published or date.min, reverse=True)
    proposal = propose_niche(lab, [video.title or "" for video in newest_first])
    proposed = "" if proposal.niche is None else f" So the lab proposes --niche {proposal.niche}."
    return NoNicheError(
        f"no niche of the lab has a video of {channel.title!r} yet; say with --niche which niche the channel is in. "
        f"{proposal.reason}{proposed}",
        proposal,
    )


def _read(given: GivenExports, progress: Progress) -> _ReadExports:
    """Read the exports in order of their dates, oldest first. Raises `LabError` if no export can be read."""
    read = _ReadExports()
    for done, file in enumerate(sorted(given.files, key=lambda file: _day_of(file, given.as_of))):
        progress("reading exports", done, len(given.files))
        try:
            read.tables += read_videos(file, given.as_of, given.columns, read.videos)
        except LabError as error:
            read.refused.append(error)
        else:
            read.files.append(file)
    progress("reading exports", len(given.files), len(given.files))
    if not read.files:
        raise joined(read.refused)
    return read


def add_imported_channel(lab: Lab, channel: Channel, progress: Progress = silent) -> AddedChannel:
    """Fit and serve the adapter of a channel whose exports were imported.

    Raises `NoServedModelError` when no model is served, and `LabError` when the model's encoders cannot be loaded.
    """
    model = served_model(lab)
    encoded = encode_channel_videos(lab, channel.channel_id, model, progress)
    return AddedChannel(fit_channel_adapter(lab, channel, model), encoded, None, None)


def _day_of(file: Path, as_of: date | None) -> date:
    """Return the day of an export. Exports are read in order of their days, so that newer facts replace older facts.

    For a file that cannot be read, return the earliest possible day."""
    try:
        return export_day(file, as_of)
    except LabError:
        return date.min


def _without_length(lab: Lab, usable: Sequence[ExportedVideo], tables: Sequence[TableColumns]) -> Iterator[str]:
    """Yield a sentence about the videos that may be Shorts, if there are any. The lab does not learn from such
    videos."""
    unknown = [video.video_id for video in usable if video.duration_s is None and video.is_short is not False]
    if not unknown:
        return
    with lab.engine.connect() as connection:
        measured = set(connection.scalars(select(videos.c.video_id).where(_one_of(unknown), videos.c.duration_s > 0)))
    or_watch_time = "" if all("watch_hours" in table.at for table in tables) else ", or with Watch time (hours)"
    if count := len(unknown) - len(measured):
        yield (
            f"{count} of {len(usable)} videos have no length, and nothing in the exports shows that they are not Shorts, so "
            f"the lab learns nothing from them; export them with the column Duration{or_watch_time}"
        )


def _save(lab: Lab, usable: Sequence[ExportedVideo], result: ImportedExports) -> None:
    """Save the channel, its videos and the view counts of the videos. Store the numbers of videos in `result`."""
    ids = [video.video_id for video in usable]
    statement = select(videos).where(_one_of(ids))
    with lab.engine.connect() as connection:
        known = {row.video_id: row for row in connection.execute(statement)}
    records = [
        record
        for video in usable
        if (row := known.get(video.video_id)) is None
        or (row.source == SOURCE and row.channel_id == result.channel.channel_id)
        for record in _records(lab, video, row, result)
    ]
    for batch in batches(records, _BATCH, "videos", silent):
        with lab.engine.begin() as connection:
            channel = result.channel
            save_channels(connection, [ChannelRecord(channel.channel_id, channel.title, owner=channel.owner)])
            # `save_videos` takes only one record of each video per call, so it is called once for each day.
            for day in sorted({record.observed_at for record in batch}):
                saved = save_videos(connection, [record for record in batch if record.observed_at == day])
                result.new += saved.new_videos
    with lab.engine.connect() as connection:
        result.videos = connection.scalar(select(func.count()).select_from(videos).where(_one_of(ids))) or 0


def _videos_of(lab: Lab, channel: Channel, video_ids: Iterable[str]) -> set[str]:
    """Return the videos in `video_ids` that belong to the channel."""
    of_channel = select(videos.c.video_id).where(_one_of(video_ids), videos.c.channel_id == channel.channel_id)
    with lab.engine.connect() as connection:
        return set(connection.scalars(of_channel))


def _records(lab: Lab, video: ExportedVideo, known: Row[Any] | None, result: ImportedExports) -> Iterator[VideoRecord]:
    """Yield one record of the video for each day on which its view count is known.

    `known`: the video's row in the database, or None if the video is new.
    """
    # The import has left out videos without a date, because `ExportedVideo.lacks` reports a missing date.
    assert video.published is not None
    published = _start_of(video.published)
    if known is not None and known.published_at.astimezone(UTC).date() == video.published:
        published = known.published_at  # The lab may know the exact time of publication. The export has only the day.
    for day, views in sorted(video.views.items()):
        # An export has the views of its whole last day. A video of this day has then been online for half a day on
        # average. With an age of 0, the correction for age would multiply its views by far too much.
        half_a_day_later = min(published + timedelta(hours=12), _start_of(day) + timedelta(days=1))
        yield VideoRecord(
            video_id=video.video_id,
            niche=result.niche,
            channel_id=result.channel.channel_id,
            title=video.title,
            published_at=published,
            duration_s=video.duration_s,
            tags=() if known is None else tuple(known.tags),
            thumbnail_urls=picture_urls(lab, video.video_id),
            source=SOURCE,
            observed_at=max(_start_of(day), half_a_day_later),
            view_count=views,
        )


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _one_of(ids: Iterable[str]) -> ColumnElement[bool]:
    """Return the SQL condition that a video has one of the ids.

    The ids are one array parameter. A parameter for each id could exceed PostgreSQL's limit of parameters."""
    return videos.c.video_id == any_(literal(list(ids), ARRAY(Text)))
