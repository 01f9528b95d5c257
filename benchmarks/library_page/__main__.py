"""Measure the page `/library` in a headless Chromium: how long a map takes to load, and each frame while it is moved.

    python -m benchmarks.library_page [--points 10000 100000 1000000]

The maps are planted. *load* is the time from the request for the page until the whole map is drawn. *frame* is the time
in which the page draws all of one frame, while the map is moved: of the whole map, and 12 times
magnified with pictures (*near*).
The first figure is that of the fastest frame, which other programs on the machine slowed down the least.
A screen with 60 frames a second leaves 16.7 ms for a frame. The browser has no graphics card here. *WebGL* is the time in
which WebGL 2 draws only the points without one, for comparison. The times depend on the machine and on its other work.
"""

import argparse

from rich.console import Console

from benchmarks.library_page.measure import POINTS, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=POINTS, help="sizes of the maps, at most three")
    measure(parser.parse_args().points, Console())


if __name__ == "__main__":
    main()
