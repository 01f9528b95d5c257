"""The pipelines that keep the library and the model up to date, as Dagster assets over plain functions."""

from thumblab_core.loopback import bypass_proxy_for_loopback

bypass_proxy_for_loopback()  # on import, because this package is the first of the lab's code in Dagster's processes
