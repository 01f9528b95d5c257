"""The command `thumblab-mcp`, for a machine that has the client and not the lab.

THUMBLAB_SERVING_URL and THUMBLAB_API_KEY name the service and its key.
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
