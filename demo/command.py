"""The command line of `python -m demo.emulator`."""

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
    """Serve a catalogue until Ctrl-C and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.emulator", description="Emulate the YouTube Data API v3 on this machine."
    )
    parser.add_argument(
        "--catalogue", type=Path, metavar="DIR", help="serve this folder, which holds videos.csv and its images"
    )
    parser.add_argument("--port", type=int, default=8090, help="port on 127.0.0.1 (default: %(default)s)")
    parser.add_argument(
        "--videos", type=int, default=1800, help="number of videos in the synthetic catalogue (default: %(default)s)"
    )
    parser.add_argument(
        "--vast", action="store_true", help="serve 200,000 videos of 1,500 channels, which are computed on request"
    )
    options = parser.parse_args(arguments)
    try:
        catalogue: Source
        if options.vast:
            catalogue = vast_catalogue()
        else:
            catalogue = read_catalogue(options.catalogue) if options.catalogue else synthetic_catalogue(options.videos)
        emulator = Emulator(catalogue, options.port)
    except (LabError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        print(f"Port {options.port} cannot be used: {error}. Choose another port with --port.", file=sys.stderr)
        return 1
    with emulator:
        print(
            f"YouTube emulator on {emulator.endpoint} with {catalogue.video_count:,} videos of {catalogue.channel_count:,} "
            f"channels, observed at {emulator.date}. Any API key works. Press Ctrl-C to stop.",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0
