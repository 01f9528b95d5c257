"""Keep what the pipelines know about their own health where every part of the lab can read it, without a database."""
