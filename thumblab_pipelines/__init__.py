"""Dagster: the assets that keep the library and the model fresh."""

from thumblab_core.loopback import spare_loopback

spare_loopback()  # on import: Dagster's own processes come in here, and nowhere before
