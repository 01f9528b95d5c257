"""Measure the page `/library` in a headless Chromium: the time to load a map, and to draw a frame while it is moved.

    python -m benchmarks.library_page [--points 10000 100000 1000000]

Each map is planted. *load* is the time from the request for the page until the whole map is drawn. *frame* is the time
in which the page draws one frame completely, while the whole map is moved. *near* is the same time while a part of the
map, 12 times magnified and with pictures, is moved. The first number of *frame* and *near* is the time of the fastest
frame, which other programs on the machine slowed down the least. The next two are the median and the 95th percentile.

A screen with 60 frames a second leaves 16.7 ms for a frame. The browser uses no graphics card here. For comparison,
*WebGL* is the time in which WebGL 2 draws only the points, also without a graphics card. The times depend on the
machine, and on the other work of the machine.
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
