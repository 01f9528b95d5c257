"""The pipelines that keep the reference library and the ranking model up to date.

Plain functions do the work, and Dagster assets call these functions.
"""

from thumblab_core.loopback import bypass_proxy_for_loopback

# Dagster's processes import this package before all other code of the lab. `bypass_proxy_for_loopback` changes
# environment variables, so that connections to this machine use no proxy. A connection reads these variables when it is
# opened, so the function is called before anything can open a connection.
bypass_proxy_for_loopback()
