"""The pipelines that keep the library and the model up to date. Plain functions do the work, and Dagster assets call
them."""

from thumblab_core.loopback import bypass_proxy_for_loopback

# Dagster's processes import this package before all other code of the lab. The call changes environment variables so
# that connections to this machine use no proxy. These variables are read when a connection is opened, so the call comes
# first.
bypass_proxy_for_loopback()
