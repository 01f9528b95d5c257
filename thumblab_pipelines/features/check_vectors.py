"""Check that the thumbnails and titles of a niche have vectors, and that the vectors have length 1."""

from sqlalchemy import text

from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab

_NAMED = 10
"""Maximum number of videos that are named in the explanation of a check."""


def check_embeddings(lab: Lab, niche: str) -> list[CheckResult]:
    """Check that every picture and title of the niche has a vector, and that every vector has length 1.

    The crawl's videos without a vector are not counted, because runs in the background encode them.
    """
    statement = text("""
        SELECT count(t.sha256) AS pictures, count(*) AS titles,
               count(i.vector) AS image_vectors, count(n.vector) AS title_vectors,
               count(f.video_id) AS images_without, count(g.video_id) AS titles_without,
               string_agg(coalesce(f.video_id, g.video_id), ', ' ORDER BY v.video_id) AS without,
               count(*) FILTER (WHERE abs(vector_norm(i.vector) - 1) > 1e-3) AS odd_images,
               count(*) FILTER (WHERE abs(vector_norm(n.vector) - 1) > 1e-3) AS odd_titles
        FROM videos v
        LEFT JOIN thumbnails t USING (video_id)
        LEFT JOIN embeddings i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = t.sha256
        LEFT JOIN embeddings n ON n.video_id = v.video_id AND n.encoder = :title
             AND n.source_digest = encode(sha256(convert_to(v.title, 'UTF8')), 'hex')
        LEFT JOIN encoding_failures f ON i.vector IS NULL AND f.video_id = v.video_id AND f.encoder = :image
             AND f.source_digest = t.sha256
        LEFT JOIN encoding_failures g ON n.vector IS NULL AND g.video_id = v.video_id AND g.encoder = :title
             AND g.source_digest = encode(sha256(convert_to(v.title, 'UTF8')), 'hex')
        WHERE v.niche = :niche AND NOT (
          (i.vector IS NULL AND t.sha256 IS NOT NULL OR n.vector IS NULL) AND f.video_id IS NULL AND g.video_id IS NULL
          AND EXISTS (SELECT FROM crawl_videos k WHERE k.video_id = v.video_id AND k.niche = v.niche AND k.outcome = 'kept')
        )
    """)
    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    with lab.engine.connect() as connection:
        parameters = {"niche": niche, "image": image.fingerprint, "title": title.fingerprint}
        row = connection.execute(statement, parameters).one()
    # `embed` has already reported unreadable pictures, so the check allows one unreadable picture in a hundred. The
    # encoder may also have returned no vector for some pictures or titles. The check fails only if this happened for
    # more than half of the pictures, or for more than half of the titles.
    pictures, titles = row.pictures - row.images_without, row.titles - row.titles_without
    broken = row.images_without * 2 > row.pictures or row.titles_without * 2 > row.titles
    explanation = f"{row.image_vectors} of {row.pictures} thumbnails and {row.title_vectors} of {row.titles} titles"
    if row.without:
        explanation += (
            f"; the encoder gives no vector for {_first_names(row.without)} "
            f"(`thumblab index rebuild {niche}` tries again)"
        )
    if broken:
        explanation += "; its model is damaged: set THUMBLAB_IMAGE_ENCODER or THUMBLAB_TITLE_ENCODER to another encoder"
    return [
        CheckResult(
            "complete",
            not broken and row.image_vectors >= 0.99 * pictures and row.title_vectors == titles,
            explanation,
            figures={
                "thumbnails": row.pictures,
                "thumbnail_vectors": row.image_vectors,
                "titles": row.titles,
                "title_vectors": row.title_vectors,
            },
        ),
        CheckResult(
            "unit_length",
            row.odd_images + row.odd_titles == 0,
            f"{row.odd_images + row.odd_titles} vectors have a length other than 1",
            figures={"odd_vectors": row.odd_images + row.odd_titles},
        ),
    ]


def _first_names(names: str) -> str:
    """Return the names at the beginning of `names`, and say how many more names there are.

    `names`: a text in which commas separate the names.
    """
    parts = names.split(", ")
    return ", ".join(parts[:_NAMED]) + (f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else "")
