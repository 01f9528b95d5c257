"""The command `thumblab-mcp`, for a machine on which the client is installed, but not the lab.

The environment variables THUMBLAB_SERVING_URL and THUMBLAB_API_KEY have the URL of the service and the API key.
"""

import sys

from thumblab_client import AsyncClient


def main() -> None:
    try:
        from thumblab_client.mcp_server.server import build
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        sys.exit('thumblab-mcp needs the package mcp; run `pip install "thumblab-client[mcp]"`')
    build(AsyncClient).run("stdio")


if __name__ == "__main__":
    main()
