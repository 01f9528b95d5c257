"""Measure the niche report on synthetic niches, and print three results:
- how often the report has a false finding, if the views are shuffled;
- how often the report finds a planted effect, which was added to the synthetic views;
- how often the intervals of the report cover the true figure.

    python -m benchmarks.niche_reports [--shuffles 100]
"""

import argparse
import time

from benchmarks.niche_reports.measure import coverage, false_findings
from benchmarks.niche_reports.planted_niche import PLANTED, plant
from thumblab_pipelines.niche_report.findings import find


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shuffles", type=int, default=100)
    shuffles = parser.parse_args().shuffles
    start = time.perf_counter()
    wrong = false_findings(shuffles)
    print(f"{wrong} of {shuffles} shuffled niches have a false finding ({time.perf_counter() - start:.0f} s)")
    planted = (plant(channels=30, seed=seed) for seed in range(shuffles // 5))
    found = [{finding.feature for finding in find(niche.videos, niche.values)[0]} for niche in planted]
    for name in PLANTED:
        print(f"planted {name}: found in {sum(name in names for names in found)} of {len(found)} niches")
    others = sum(len(names - set(PLANTED)) for names in found)
    print(f"features that were not planted: {others} of {sum(map(len, found))} findings")
    for channels, videos in ((6, 150), (15, 100), (40, 60)):
        covered = coverage(2 * shuffles, channels, videos)
        print(
            f"{channels} channels of {videos} videos, coverage: "
            + ", ".join(f"{n} {c:.1%}" for n, c in covered.items())
        )


if __name__ == "__main__":
    main()
