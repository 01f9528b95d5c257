"""Read from the database which words the pictures contain. Other queries use the same SQL expression for the words."""

from collections.abc import Sequence

from sqlalchemy import text

from thumblab_pipelines.lab import Lab

PICTURE_WORDS = """
CASE WHEN jsonb_typeof(f.evidence -> 'texts') = 'array' THEN coalesce(
  (SELECT string_agg(line ->> 'text', ' ') FROM jsonb_array_elements(f.evidence -> 'texts') AS line), '') END
"""
"""SQL expression for the words in a picture, separated by spaces. `f` must be the row of `visual_features`.

The result is empty if the picture has no words, and NULL if the picture was not searched for words.
"""

_WORDS = text(f"""
SELECT f.video_id, f.sha256, {PICTURE_WORDS} AS words FROM visual_features f
JOIN unnest(CAST(:ids AS text[]), CAST(:pictures AS text[])) AS asked (video_id, sha256) USING (video_id, sha256)
""")  # noqa: S608  (a constant expression)


def read_picture_words(lab: Lab, ids: Sequence[str], pictures: Sequence[str]) -> list[str | None]:
    """Return the words that were read in each of k pictures [k], see `PICTURE_WORDS`.

    `ids` [k]: ids of the videos that show the pictures. `pictures` [k]: SHA-256 of the pictures. The result is None for
    a picture that was not searched for words.
    """
    with lab.engine.connect() as connection:
        rows = connection.execute(_WORDS, {"ids": list(ids), "pictures": list(pictures)}).all()
    words = {(row.video_id, row.sha256): row.words for row in rows}
    return [words.get(key) for key in zip(ids, pictures, strict=True)]
