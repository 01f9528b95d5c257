"""Say what a lab without an API key may leave out, and how a person lets it ask YouTube.

A run may skip its calls to YouTube if the niche has no data from YouTube. For example, all videos of the niche may come
from an imported catalogue. If the niche has data from YouTube, the run needs a key. For a niche without any data, no
schedule starts a run, because the run could do nothing and would fail.
"""

from sqlalchemy import text

from thumblab_core.data_folder import is_demo
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab

_HOLDS_YOUTUBE_DATA = text("""
    SELECT EXISTS (SELECT FROM videos WHERE niche = :niche AND source = 'youtube')
        OR EXISTS (SELECT FROM crawl_channels WHERE niche = :niche)
""")

_WITHOUT_DATA = text("""
    SELECT name FROM niches
    WHERE NOT EXISTS (SELECT FROM videos WHERE videos.niche = niches.name)
        AND NOT EXISTS (SELECT FROM crawl_channels WHERE crawl_channels.niche = niches.name)
""")


def niches_without_data(lab: Lab) -> frozenset[str]:
    """Return the niches with neither videos nor channels in the crawl. With an API key, return no niche, because each
    niche can collect its first videos.
    """
    if lab.settings.youtube_api_key is not None:
        return frozenset()
    with lab.engine.connect() as connection:
        return frozenset(connection.scalars(_WITHOUT_DATA))


def reason_not_to_ask(lab: Lab, niche: str) -> str | None:
    """Return why YouTube is not asked about the niche, or None if YouTube must be asked.

    YouTube is not asked if no API key is set and the niche has neither videos from YouTube nor channels in the crawl.
    """
    if lab.settings.youtube_api_key is not None:
        return None
    with lab.engine.connect() as connection:
        if connection.execute(_HOLDS_YOUTUBE_DATA, {"niche": niche}).scalar_one():
            return None
    return f"no YouTube API key is set, and {niche} has no videos from YouTube, so YouTube was not asked"


def how_to_ask(settings: Settings) -> str:
    """Return a clause for an error message: what a person without an API key must do, so that YouTube is asked."""
    if is_demo(settings.data_dir):
        return "use your own lab, because the demo's lab does not ask YouTube"
    return "set THUMBLAB_YOUTUBE_API_KEY to ask YouTube"
