"""Give the words that were read in a picture, as an expression for SQL queries."""

PICTURE_WORDS = """
CASE WHEN jsonb_typeof(f.evidence -> 'texts') = 'array' THEN coalesce(
  (SELECT string_agg(line ->> 'text', ' ') FROM jsonb_array_elements(f.evidence -> 'texts') AS line), '') END
"""
"""The words in a picture, separated by spaces. `f` must be the row of `visual_features`.

The result is empty if no words were found, and NULL if nobody has looked for words in the picture yet.
"""
