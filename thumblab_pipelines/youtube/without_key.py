"""What a lab without an API key can leave undone: a niche that holds nothing of YouTube's needs no question to it."""

from sqlalchemy import text

from thumblab_pipelines.lab import Lab

_HOLDS_YOUTUBE_DATA = text("""
    SELECT EXISTS (SELECT FROM videos WHERE niche = :niche AND source = 'youtube')
        OR EXISTS (SELECT FROM crawl_channels WHERE niche = :niche)
""")


def reason_not_to_ask(lab: Lab, niche: str) -> str | None:
    """Return why YouTube is not asked about the niche: no key is set, and the lab has nothing of YouTube's in it.

    Return None if YouTube has to be asked.
    """
    if lab.settings.youtube_api_key is not None:
        return None
    with lab.engine.connect() as connection:
        if connection.execute(_HOLDS_YOUTUBE_DATA, {"niche": niche}).scalar_one():
            return None
    return f"no YouTube API key is set, and {niche} has no videos from YouTube: YouTube was not asked"
