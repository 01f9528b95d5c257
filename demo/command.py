"""`python -m demo.emulator`, as it is typed."""

import argparse
import contextlib
import sys
import threading
from pathlib import Path

from demo.catalogues.catalogue import read_catalogue
from demo.catalogues.source import Source
from demo.catalogues.synthetic import synthetic_catalogue
from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.errors import LabError


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.emulator", description="A YouTube Data API v3 for the lab.")
    parser.add_argument("--catalogue", type=Path, metavar="DIR", help="a folder with videos.csv and its images")
    parser.add_argument("--port", type=int, default=8090, help="where to listen on 127.0.0.1 (default: %(default)s)")
    parser.add_argument(
        "--videos", type=int, default=1800, help="videos of the synthetic catalogue (default: %(default)s)"
    )
    parser.add_argument("--vast", action="store_true", help="200,000 videos of 1,500 channels, made up on demand")
    chosen = parser.parse_args(arguments)
    try:
        catalogue: Source
        if chosen.vast:
            catalogue = vast_catalogue()
        else:
            catalogue = read_catalogue(chosen.catalogue) if chosen.catalogue else synthetic_catalogue(chosen.videos)
        emulator = Emulator(catalogue, chosen.port)
    except (LabError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        print(f"Port {chosen.port} cannot be used: {error}. Choose another with --port.", file=sys.stderr)
        return 1
    with emulator:
        print(
            f"YouTube emulator on {emulator.endpoint} with {catalogue.video_count:,} videos of {catalogue.channel_count:,} "
            f"channels, seen at {emulator.date}. Any API key will do. Ctrl-C stops it.",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0
