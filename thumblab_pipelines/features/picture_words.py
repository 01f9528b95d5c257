"""Define an SQL expression for the words that were read in a picture."""

PICTURE_WORDS = """
CASE WHEN jsonb_typeof(f.evidence -> 'texts') = 'array' THEN coalesce(
  (SELECT string_agg(line ->> 'text', ' ') FROM jsonb_array_elements(f.evidence -> 'texts') AS line), '') END
"""
"""The words in a picture, separated by spaces. `f` must be the row of `visual_features`.

The result is empty if the picture has no words, and NULL if no words were looked for in the picture.
"""
