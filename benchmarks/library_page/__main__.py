"""Measure the page `/library` in a headless Chromium: the time to load a map, and the time to draw a frame while the
map is moved.

    python -m benchmarks.library_page [--points 10000 100000 1000000]

The maps have random points. The columns of the table are:
- *load*: the seconds from the request for the page until the whole map is drawn;
- *frame*: the milliseconds in which the page draws one frame completely, while the whole map is moved;
- *near*: the milliseconds of a frame while a part of the map with pictures is moved. This part is magnified 12 times;
- *WebGL*: the milliseconds in which WebGL 2 draws only the points, for comparison.

*frame* and *near* have three numbers each. The first is the time of the fastest frame, which other programs on the
machine slowed down the least. The next two are the median and the 95th percentile.

A screen with 60 frames a second leaves 16.7 ms for a frame. No measurement uses a graphics card, not even *WebGL*. The
times depend on the machine, and on the other work of the machine.
"""

import argparse

from rich.console import Console

from benchmarks.library_page.measure import POINTS, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--points", type=int, nargs="+", default=POINTS, help="the number of points of each map, for one to three maps"
    )
    measure(parser.parse_args().points, Console())


if __name__ == "__main__":
    main()
