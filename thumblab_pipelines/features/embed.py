"""Encode all thumbnails and titles of a niche that have no vector yet. The settings name the encoders."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, Table, and_, func, select

from thumblab_core.database.nearest_index import ensure_index
from thumblab_core.database.tables import embeddings, encoding_failures, thumbnails, videos
from thumblab_core.database.vectors import CURRENT, EARLIER
from thumblab_core.encoders.agreement import Agreement
from thumblab_core.encoders.load import (
    encoder_folder,
    image_encoder,
    image_encoder_name,
    named_image_encoder,
    title_encoder,
)
from thumblab_core.encoders.neural import NeuralEncoder
from thumblab_core.encoders.precision import CALIBRATION, HELD_OUT, choose_precision
from thumblab_core.encoders.protocol import NO_VECTOR
from thumblab_core.image_store.reading_ahead import read_ahead
from thumblab_core.images import ImageError, decode
from thumblab_pipelines.features.compared import compared_without_vector
from thumblab_pipelines.features.crawl_turn import CrawlTurn, kept_by_crawl
from thumblab_pipelines.features.encoding import (
    PICTURE,
    TITLE,
    Made,
    encode_pictures,
    encode_titles,
    without_vector,
)
from thumblab_pipelines.features.encoding_work import PictureEncoding, Source, TitleEncoding
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent


@dataclass(frozen=True)
class Encoded:
    """The result of embedding a niche.

    Attributes:
        had: number of current thumbnails and titles that already had a vector.
        images: number of current thumbnails that were encoded.
        titles: number of current titles that were encoded.
        earlier: number of further thumbnails and titles that were encoded for training, because videos showed them
            earlier or an experiment tested them.
        images_per_second: encoded thumbnails per second. The time includes reading, decoding, encoding and saving.
        unreadable: a sentence for each thumbnail that could not be read.
        without: a sentence for each thumbnail or title for which the encoder returned no valid vector, in this run or
            in an earlier run.
        encoder: the fingerprint of the image encoder.
        settled: the precision that this run chose for the encoder, with the reason, or None if it chose no precision.
        left: number of thumbnails and titles of the crawl's videos that this run has left to runs in the background.
        places: for each process, the number of batches that it encoded, see `computed`.
    """

    had: int
    images: int
    titles: int
    earlier: int
    images_per_second: float
    unreadable: tuple[str, ...]
    without: tuple[str, ...]
    encoder: str
    settled: str | None
    places: Counter[str]
    left: int = 0


def embed(
    lab: Lab,
    niche: str,
    progress: Progress = silent,
    crawl_seconds: float | None = None,
    urgent: Collection[str] = (),
) -> Encoded:
    """Save a vector for every thumbnail and title of the niche.

    Every batch is committed. A thumbnail or title that already has a vector is not encoded again. Once the lab has
    enough vectors, this function also makes PostgreSQL build an index of the picture vectors.

    `crawl_seconds`: for how many seconds the crawl's videos are encoded, after all other videos (see `CrawlTurn`). If
    `crawl_seconds` is None, all of the crawl's videos are encoded.
    """
    pictures = _pictures(lab, niche)
    precision = settle_precision(lab, progress) if pictures.missing else None
    if precision is not None:  # A new precision was chosen, and no picture has a vector with this precision yet.
        pictures = _pictures(lab, niche)
    titles = _titles(lab, niche)
    image_model, title_model = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    of_pictures = PictureEncoding(
        image_model, image_encoder_name(lab.settings), encoder_folder(lab.settings, image_model), lab.images
    )
    of_titles = TitleEncoding(title_model, lab.settings.title_encoder)
    turn = CrawlTurn(lab, niche, crawl_seconds, urgent)
    now, crawled = turn.split(pictures.missing, _video_id)
    now_titles, crawled_titles = turn.split(titles.missing, _video_id)
    made_pictures = encode_pictures(lab, of_pictures, now, progress, niche)
    made_titles = encode_titles(lab, of_titles, now_titles, progress, niche)
    # The pictures and titles that videos show now were encoded above. The lines below encode earlier pictures and
    # titles of videos, and the pictures and titles that experiments tested.
    earlier, crawled_earlier = turn.split(_earlier(lab, PICTURE, image_model.fingerprint, niche), _video_id)
    earlier_titles, crawled_earlier_titles = turn.split(_earlier(lab, TITLE, title_model.fingerprint, niche), _video_id)
    made_earlier = encode_pictures(lab, of_pictures, earlier, progress, niche)
    made_earlier_titles = encode_titles(lab, of_titles, earlier_titles, progress, niche)

    def pictures_into(made: Made) -> Callable[[Sequence[Source]], None]:
        return lambda sources: made.add(encode_pictures(lab, of_pictures, sources, progress, niche))

    def titles_into(made: Made) -> Callable[[Sequence[Source]], None]:
        return lambda sources: made.add(encode_titles(lab, of_titles, sources, progress, niche))

    # Titles are encoded first, because encoding a title takes little time.
    turn.spend(crawled_titles, titles_into(made_titles))
    turn.spend(crawled, pictures_into(made_pictures))
    turn.spend(crawled_earlier_titles, titles_into(made_earlier_titles))
    turn.spend(crawled_earlier, pictures_into(made_earlier))
    ensure_index(lab.engine, image_model.fingerprint)
    without = {
        "its thumbnail": pictures.without + made_pictures.without,
        "its title": titles.without + made_titles.without,
        "its earlier or tested thumbnail": made_earlier.without,
        "its earlier or tested title": made_earlier_titles.without,
    }
    return Encoded(
        had=pictures.had + titles.had,
        images=made_pictures.count,
        titles=made_titles.count,
        earlier=made_earlier.count + made_earlier_titles.count,
        images_per_second=made_pictures.per_second,
        unreadable=(*made_pictures.unreadable, *made_earlier.unreadable),
        without=tuple(f"{video_id}: {what}: {NO_VECTOR}" for what, ids in without.items() for video_id in ids),
        encoder=image_model.fingerprint,
        settled=precision,
        left=turn.left,
        places=sum(
            (made.places for made in (made_pictures, made_titles, made_earlier, made_earlier_titles)), Counter()
        ),
    )


def _video_id(source: Source) -> str:
    return source.video_id


def load_encoders(lab: Lab, niches: Sequence[str]) -> None:
    """Load the encoders that the settings name, if one of the niches has a thumbnail or title to encode.

    Call this function before embedding several niches. Then an encoder that cannot be loaded raises one error before
    the work begins, instead of an error for every niche. Raises `LabError` if the settings name an unknown encoder, or
    if an encoder cannot be loaded.
    """
    image_model, title_model = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    if any(_pictures(lab, niche).missing for niche in niches):
        _ = image_model.decode_size  # Reading this property loads the model or the manifest of its release.
    if any(_titles(lab, niche).missing for niche in niches):
        _ = title_model.dimension  # Reading this property loads the model.


@dataclass
class _Work:
    """The pictures or titles of a niche, divided into three groups for one encoder.

    `missing`: the pictures or titles that must still be encoded. `had`: number of pictures or titles that have a
    vector. `without`: ids of the videos whose picture or title got no valid vector from the encoder in an earlier run.
    """

    missing: list[Source]
    had: int
    without: list[str]


def settle_precision(lab: Lab, progress: Progress = silent) -> str | None:
    """Choose a precision for the image encoder in the settings. Return a text with the precision and the reason.

    The fastest precision whose vectors agree with the vectors of float32 is chosen. The agreement is measured on
    pictures from all niches. Return None if the encoder or the settings leave no choice. Also return None if the lab
    has too few pictures for the measurement: the lab then encodes with float32. Once the lab has enough pictures, a
    precision is chosen, and all pictures are encoded again.
    """
    encoder, precision = image_encoder(lab.settings), lab.settings.encoder_precision
    # If the setting names the encoder with a precision, the user has already chosen the precision.
    if not isinstance(encoder, NeuralEncoder) or precision == "float32" or "@" in image_encoder_name(lab.settings):
        return None
    needed = CALIBRATION + HELD_OUT
    # The pictures with the smallest hashes are as good as a random sample, but they are the same in every run.
    statement = select(thumbnails.c.sha256).where(thumbnails.c.sha256.is_not(None)).order_by(thumbnails.c.sha256)
    with lab.engine.connect() as connection:
        hashes = connection.execute(statement.distinct().limit(2 * needed)).scalars().all()
    if len(hashes) < needed or not encoder.quantisable:
        return None
    prepared = []
    for _, read in read_ahead(lab.images, hashes, str):
        with suppress(ImageError):  # An unreadable picture is skipped, because `embed` reports it later.
            prepared.append(encoder.prepare(decode(read(), encoder.decode_size).pixels))
        if len(prepared) == needed:
            chosen = choose_precision(encoder, lab.releases, precision, prepared, progress)
            # `cache_clear` frees the memory of the float32 model, which is 1.7 GB for ViT-L/14.
            named_image_encoder.cache_clear()
            refused = "".join(f"; not {reason}" for reason in chosen.refused)
            return f"{chosen.precision} ({Agreement(**chosen.release.info['agreement'])}){refused}"
    return None


def _pictures(lab: Lab, niche: str) -> _Work:
    """Divide the thumbnails of the niche into the three groups of `_Work`, for the image encoder in the settings."""
    encoder = image_encoder(lab.settings).fingerprint
    has_picture = and_(thumbnails.c.video_id == videos.c.video_id, thumbnails.c.sha256.is_not(None))
    return _work(lab, niche, encoder, thumbnails.c.sha256, videos.join(thumbnails, has_picture))


def _titles(lab: Lab, niche: str) -> _Work:
    """Divide the titles of the niche into the three groups of `_Work`, for the title encoder in the settings."""
    encoder = title_encoder(lab.settings.title_encoder).fingerprint
    digest = func.encode(func.sha256(func.convert_to(videos.c.title, "UTF8")), "hex")
    return _work(lab, niche, encoder, digest, videos)


def _work(lab: Lab, niche: str, encoder: str, digest: ColumnElement[str], source: FromClause) -> _Work:
    """Divide the niche's pictures or titles into three groups: with a vector, still to encode, and failed.

    A failed picture or title got no valid vector in an earlier run.

    `encoder`: the fingerprint of the encoder. `source`: the table of the videos, or a join with this table. `digest`:
    an SQL expression for the digest of the picture or title in a row of `source`.
    """
    statement = (
        select(
            videos.c.video_id,
            digest.label("digest"),
            videos.c.title,
            embeddings.c.video_id.label("had"),
            encoding_failures.c.video_id.label("failed"),
        )
        .select_from(source)
        .outerjoin(embeddings, _of_source(embeddings, encoder, digest))
        .outerjoin(encoding_failures, _of_source(encoding_failures, encoder, digest))
        .where(videos.c.niche == niche)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    missing = [
        Source(row.video_id, row.digest, row.title, CURRENT) for row in rows if row.had is None and row.failed is None
    ]
    without = [row.video_id for row in rows if row.had is None and row.failed is not None]
    return _Work(missing, len(rows) - len(missing) - len(without), without)


def _of_source(table: Table, encoder: str, digest: ColumnElement[str]) -> ColumnElement[bool]:
    """Return an SQL condition on a row of `table`, the table of vectors or of encoding failures.

    The row must belong to the same video as the row of `videos`, to this encoder, and to the picture or title with this
    digest.
    """
    return and_(table.c.video_id == videos.c.video_id, table.c.encoder == encoder, table.c.source_digest == digest)


def _earlier(lab: Lab, what: str, encoder: str, niche: str) -> list[Source]:
    """Return the pictures or titles that a video showed earlier or an experiment tested, and that still lack a vector.

    Training needs the vectors of earlier and tested pictures and titles. `what`: whether to return pictures or titles.
    `encoder`: fingerprint of the encoder whose vector is missing.
    """
    first = [source for source in without_vector(lab, what, encoder, niche) if source.table == EARLIER]
    known = {(source.video_id, source.digest) for source in first}
    compared = compared_without_vector(lab, what, encoder, niche)
    return first + [source for source in compared if (source.video_id, source.digest) not in known]


def waiting_for_encoder(lab: Lab, niche: str) -> int:
    """Return how many thumbnails and titles of the crawl's videos in the niche have no vector yet.

    Thumbnails and titles that a video showed earlier, or that an experiment tested, are included.
    """
    with lab.engine.connect() as connection:
        crawled = frozenset(connection.scalars(kept_by_crawl(niche)))
    if not crawled:
        return 0
    pictures, titles = image_encoder(lab.settings).fingerprint, title_encoder(lab.settings.title_encoder).fingerprint
    missing = [*_pictures(lab, niche).missing, *_titles(lab, niche).missing]
    missing += [*_earlier(lab, PICTURE, pictures, niche), *_earlier(lab, TITLE, titles, niche)]
    return sum(source.video_id in crawled for source in missing)
