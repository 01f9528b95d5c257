"""Measure how much a title prior improves the model of a lab with few channels. A title prior is a model of titles that
is fitted to other channels. The lab's own training starts from this prior.

    python -m benchmarks.title_prior [DIR] [--vectors FILE] [--final]

DIR contains `panel.parquet`, see `benchmarks.title_panel`. The channels are divided into five parts. The following is
done for each part. The prior (`thumblab_pipelines.training.title_prior`) is fitted to the titles and views of the four
other parts. The channels of the part itself are divided into five labs of 20 channels. In each lab, the linear part of
the ranking model is fitted twice: once without a prior, and once starting from the prior. The two models are compared
on two questions:

    unseen   pairs of channels that belong to the part but not to the lab, without adapters
    future   pairs of later videos of the lab's own channels, with adapters

A lab learns from the first 64 % of the videos of each of its channels, and is tested on the next 16 %. The last 20 % of
every channel are not used. With `--final`, a lab learns from the first 80 % and is tested on the last 20 %. Do not use
`--final` to choose between models.

A figure is the mean over channels of the AUC within a channel, with a 95 % interval over channels.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.panel.data import (
    FILE,
    KNOWN_SHARE,
    PairSet,
    Panel,
    Progress,
    mean_with_interval,
    panel_in,
    timed_progress,
)
from benchmarks.panel.models import LabTitles
from benchmarks.title_panel import DEFAULT_FOLDER, FUTURE, UNSEEN, encoded
from thumblab_core.arrays import Flags, Float32s, Float64s
from thumblab_pipelines.training.title_prior.prior import TitlePrior, fit_title_prior

_PARTS, _LABS, _LAB_CHANNELS = 5, 5, 20
ALONE, STARTED, PRIOR = "from nothing", "from the prior", "the prior alone"
_PAIRS = {False: "all", True: "2x"}

Question = tuple[str, str]
"""A question, and the pairs on which it is asked: `all`, or `2x` for pairs whose winner has at least twice the views.
"""


@dataclass(frozen=True)
class Shares:
    """How the videos of each channel are divided, in the order of publication. `known` and `end` are shares of the
    channel's videos.

    A lab learns from the videos up to `known`, and is tested on the videos from `known` to `end`.
    """

    known: float
    end: float


CHOICE, FINAL = Shares(KNOWN_SHARE**2, KNOWN_SHARE), Shares(KNOWN_SHARE, 1.0)


def measure(
    panel: Panel, vectors: Float32s, shares: Shares, seed: int, tell: Progress
) -> dict[Question, dict[str, Float64s]]:
    """Return the AUC of each channel, by question and scorer. If a channel is in several labs, the result is the mean
    of its AUCs.

    `vectors` [n, d] are the vectors of the titles.
    """
    order = np.random.default_rng(seed).permutation(int(panel.channel.max()) + 1)
    aucs: dict[Question, dict[str, dict[int, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    early = panel.place < shares.end
    for number, part in enumerate(np.array_split(order, _PARTS)):
        of_part = np.isin(panel.channel, part)
        learnt = ~of_part & early
        prior, labels = fit_title_prior(panel.only(learnt)), panel.age_corrected(learnt)[of_part]
        sub, names = panel.only(of_part), np.unique(panel.channel[of_part])
        for lab in range(_LABS):
            tell(f"part {number + 1} of {_PARTS}, lab {lab + 1} of {_LABS}")
            channels = part[lab * _LAB_CHANNELS : (lab + 1) * _LAB_CHANNELS]
            of_lab = np.isin(names[sub.channel], channels)
            for question, within, scores in _asked(sub, vectors[of_part], of_lab, prior, shares):
                for twice, name in _PAIRS.items():
                    pairs = PairSet.of(sub, labels, within & early[of_part], twice)
                    for scorer, values in scores.items():
                        found = zip(names[np.unique(pairs.channel)], pairs.by_channel(values), strict=True)
                        for channel, auc in found:
                            aucs[question, name][scorer][int(channel)].append(float(auc))
    return {
        question: {scorer: np.array([np.mean(values[c]) for c in sorted(values)]) for scorer, values in found.items()}
        for question, found in aucs.items()
    }


def _asked(
    sub: Panel, vectors: Float32s, of_lab: Flags, prior: TitlePrior, shares: Shares
) -> list[tuple[str, Flags, dict[str, Float64s]]]:
    """Return two questions for a lab. Each is a tuple of its name, the videos in its pairs, and the scores of each
    scorer.
    """
    known = of_lab & (sub.place < shares.known)
    above = sub.above_trend(sub.age_corrected(known), known)
    models = {ALONE: LabTitles(sub, vectors), STARTED: LabTitles(sub, vectors, prior)}
    shared = {name: model.shared(above, known) for name, model in models.items()}
    adapted = {name: model.adapted(above, known) for name, model in models.items()}
    later = of_lab & (sub.place >= shares.known)
    return [(UNSEEN, ~of_lab, shared | {PRIOR: prior.scores(sub.titles)}), (FUTURE, later, adapted)]


def table(aucs: dict[Question, dict[str, Float64s]], title: str) -> Table:
    """Return a table with a row for each question and scorer."""
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("question", "pairs", "channels", "scorer", "AUC", f"lead over {ALONE}"):
        shown.add_column(column, justify="right" if column == "channels" else "left", no_wrap=True)
    for (question, pairs), by_scorer in aucs.items():
        for scorer, values in by_scorer.items():
            mean, low, high = mean_with_interval(values)
            lead, least, most = mean_with_interval(values - by_scorer[ALONE])
            shown.add_row(
                question,
                pairs,
                f"{len(values)}",
                scorer,
                f"{mean:.3f} [{low:.3f}, {high:.3f}]",
                "" if scorer == ALONE else f"{lead:+.3f} [{least:+.3f}, {most:+.3f}]",
            )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=DEFAULT_FOLDER, help=f"holds {FILE}")
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        type=Path,
        help="store the vectors of the titles in this .npy file, and read them from it in later runs",
    )
    parser.add_argument("--final", action="store_true", help="test on the newest 20 %% of each channel's videos")
    parser.add_argument("--seed", type=int, default=0, help="the seed that draws the labs (default: 0)")
    options = parser.parse_args()
    panel, tell = panel_in(options.folder, "benchmarks.title_prior"), timed_progress()
    vectors = encoded(panel.titles, options.vectors, tell)
    aucs = measure(panel, vectors, FINAL if options.final else CHOICE, options.seed, tell)
    Console(width=140).print(table(aucs, f"labs of {_LAB_CHANNELS} channels"))


if __name__ == "__main__":
    main()
