"""Compare models that score titles, on pairs of videos of many real channels.

    python -m benchmarks.title_panel [DIR]

DIR contains `panel.parquet`. A pair has two videos of one channel. The two videos were published at most 30 days apart,
and their ages at the first observation differ by at most a day. A model may learn only from the known videos. The
models are compared on two questions:

    future   Pairs of the newest 20 % of each channel's videos. The known videos are the oldest 80 % of each channel.
    unseen   All pairs. The channels are divided into four folds. Each fold is scored by models that learnt only from
             the channels of the three other folds. The models see the titles of a scored channel, but not its views.

The AUC of each channel with at least ten pairs is computed. The result is the mean of these AUCs, with a 95 % interval.
The result is computed twice. First, the winner of a pair is the video with more views after a correction for age, which
is fitted to the known videos. Then the winner is the video with more raw views.

For the question `future`, the title recipe (`thumblab_pipelines.training.titles`) also scores videos with the drift of
the channel's level, and is also fitted with the hour and the weekday of publication. The drift and the moment help to
predict views, but they are equal for all titles of one video.

The lab's models are compared with the bar. The bar is a ridge regression on hashed words. For the question `future`,
the bar also has a regression for each channel (partial pooling). The penalties of the bar are chosen on parts of the
known videos.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
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
from benchmarks.panel.models import Bar, LabTitles
from thumblab_core.arrays import Flags, Float32s, Float64s
from thumblab_pipelines.training.titles import TitleInputs, title_scores

DEFAULT_FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "title_panel"
_FOLDS = 4
FUTURE, UNSEEN = "future", "unseen"
AGE, TIME = "the older one", "the later one"
RIDGE, POOLED = "ridge on hashed words", "with partial pooling"
LAB, LAB_ADAPTED, RECIPE = "the lab's linear model", "the lab's, with adapters", "title recipe"
WITH_DRIFT, WITH_MOMENT = "title recipe, with the drift", "title recipe, with the moment"
WITHOUT_MEANING = "title recipe without meaning"
BARS = {FUTURE: POOLED, UNSEEN: RIDGE}


@dataclass(frozen=True)
class Figure:
    """The AUC of a scorer, or this AUC minus the AUC of the bar, with its 95 % interval. The bar is the ridge
    regression that the other models must beat.

    `question` and `pairs` say on which pairs the AUC was measured. `labels` says which views decide the winner of a
    pair: `corrected` or `raw`. `count` is the number of the pairs, and `channels` the number of their channels.
    """

    question: str
    labels: str
    pairs: str
    scorer: str
    value: float
    low: float
    high: float
    channels: int
    count: int


def measure(panel: Panel, vectors: Float32s | None, seed: int, tell: Progress) -> list[Figure]:
    """Return the figures of all models on both questions.

    `vectors` [n, d] are the vectors of the titles. If `vectors` is None, the lab's models are left out, and the title
    recipe is fitted without the meaning of titles. The name of the recipe in the table then says that the meaning is
    left out.
    """
    bar, lab = Bar.of(panel), LabTitles(panel, vectors) if vectors is not None else None
    known = panel.place < KNOWN_SHARE
    tell("future of known channels")
    labels, scores = _future(panel, bar, lab, known, vectors)
    figures = _figures(panel, FUTURE, {"corrected": labels, "raw": panel.views}, ~known, scores)
    labels, scores = _unseen(panel, bar, lab, seed, tell, vectors)
    everything = np.ones(len(known), bool)
    figures += _figures(panel, UNSEEN, {"corrected": labels, "raw": panel.views}, everything, scores)
    if vectors is not None:
        return figures
    return [replace(figure, scorer=figure.scorer.replace(RECIPE, WITHOUT_MEANING)) for figure in figures]


def _future(
    panel: Panel, bar: Bar, lab: LabTitles | None, known: Flags, vectors: Float32s | None
) -> tuple[Float64s, dict[str, Float64s]]:
    """Return the log views [n] corrected for age, and the scores [n] of each model.

    The age curve and the models are fitted to the known videos.
    """
    labels = panel.age_corrected(known)
    above = panel.above_trend(labels, known)
    penalty, own = bar.choose(known)
    ridge = bar.shared(above, known, penalty)
    rows = np.flatnonzero(known)
    inputs = TitleInputs.of(panel.titles, panel.channel, panel.published, rows, vectors)
    scores = {AGE: panel.age, TIME: panel.published, RIDGE: ridge, POOLED: bar.pooled(ridge, above, known, own)}
    if lab is not None:
        scores |= {LAB: lab.shared(above, known), LAB_ADAPTED: lab.adapted(above, known)}
    recipe, with_moments = title_scores(inputs, above, rows), inputs.with_moments(panel.published, rows)
    return labels, scores | {
        RECIPE: recipe.total,
        WITH_DRIFT: recipe.with_drift,
        WITH_MOMENT: title_scores(with_moments, above, rows).total,
    }


def _unseen(
    panel: Panel, bar: Bar, lab: LabTitles | None, seed: int, tell: Progress, vectors: Float32s | None
) -> tuple[Float64s, dict[str, Float64s]]:
    """Return the log views [n] corrected for age, and the scores [n] of each model.

    For the videos of each fold, the age curve and the models are fitted to the channels of the three other folds.
    """
    names = [RIDGE, *([LAB] if lab is not None else []), RECIPE]
    labels, scores = np.zeros(len(panel.titles)), {name: np.zeros(len(panel.titles)) for name in names}
    channels = int(panel.channel.max()) + 1
    fold_of = (np.random.default_rng(seed).permutation(channels) % _FOLDS)[panel.channel]
    for fold in range(_FOLDS):
        tell(f"unseen channels, fold {fold + 1} of {_FOLDS}")
        out = fold_of == fold
        target = panel.age_corrected(~out)
        above, rows = panel.above_trend(target, ~out), np.flatnonzero(~out)
        labels[out] = target[out]
        scores[RIDGE][out] = bar.shared(above, ~out, bar.choose_shared(~out))[out]
        inputs = TitleInputs.of(panel.titles, panel.channel, panel.published, rows, vectors)
        scores[RECIPE][out] = title_scores(inputs, above, rows).total[out]
        if lab is not None:
            scores[LAB][out] = lab.shared(above, ~out)[out]
    return labels, {AGE: panel.age, TIME: panel.published} | scores


def _figures(
    panel: Panel, question: str, labels: dict[str, Float64s], within: Flags, scores: dict[str, Float64s]
) -> list[Figure]:
    figures = []
    for name, target in labels.items():
        for which in ("all", "2x"):
            pairs = PairSet.of(panel, target, within, which == "2x")
            by_scorer = {scorer: pairs.by_channel(values) for scorer, values in scores.items()}
            for recipe in (RECIPE, WITH_DRIFT, WITH_MOMENT):
                if recipe in by_scorer:
                    by_scorer[f"{recipe}: lead over the bar"] = by_scorer[recipe] - by_scorer[BARS[question]]
            for scorer, values in by_scorer.items():
                size = len(values), len(pairs.winners)
                figures.append(Figure(question, name, which, scorer, *mean_with_interval(values), *size))
    return figures


def table(figures: list[Figure], question: str) -> Table:
    """Return the table of a question. The table has a row for each scorer and a column for each set of pairs.

    A scorer is a model, or a simple order such as the age of the videos.
    """
    chosen = [figure for figure in figures if figure.question == question]
    sets = dict.fromkeys((figure.labels, figure.pairs) for figure in chosen)
    title = "the future of known channels" if question == FUTURE else "unseen channels"
    shown = Table(title=f"{title}; the bar: {BARS[question]}", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("scorer")
    for labels, pairs in sets:
        sizes = next((f.count, f.channels) for f in chosen if (f.labels, f.pairs) == (labels, pairs))
        shown.add_column(f"{labels}, {pairs}\n{sizes[0]:,} pairs\n{sizes[1]} channels", justify="right", no_wrap=True)
    for scorer in dict.fromkeys(figure.scorer for figure in chosen):
        sign = "+" if "lead" in scorer else ""
        cells = [
            f"{figure.value:{sign}.3f} [{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
            for figure in chosen
            if figure.scorer == scorer
        ]
        shown.add_row(scorer, *cells)
    return shown


def encoded(titles: list[str], file: Path | None, tell: Progress) -> Float32s:
    """Return the vectors [n, d] that the lab's title encoder makes of the titles.

    If `file` exists, the vectors are read from it. Otherwise the titles are encoded, and the vectors are written to
    `file`.
    """
    if file is not None and file.is_file():
        vectors: Float32s = np.load(file)
        if len(vectors) != len(titles):
            sys.exit(
                f"{file} has {len(vectors)} vectors for {len(titles)} titles; delete the file to encode them again."
            )
        return vectors
    from thumblab_core.encoders.load import title_encoder

    encoder, order = title_encoder("minilm"), np.argsort([len(title) for title in titles])
    parts = []
    for start in range(0, len(order), 1_024):
        parts.append(encoder.encode_texts([titles[row] for row in order[start : start + 1_024]]))
        tell(f"encode titles: {min(start + 1_024, len(order)):,} of {len(order):,}")
    vectors = np.concatenate(parts)[np.argsort(order)].astype(np.float32)
    if file is not None:
        np.save(file, vectors)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", default=DEFAULT_FOLDER, help=f"a folder with {FILE}"
    )
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed that draws the folds of unseen channels (default: 0)"
    )
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        type=Path,
        help="store the vectors of the titles in this .npy file, and read them from it in later runs",
    )
    parser.add_argument(
        "--without-lab",
        action="store_true",
        help="leave out the lab's present models, and fit the title recipe without the meaning of titles; this needs no "
        "vectors of the titles",
    )
    options = parser.parse_args()
    panel, tell = panel_in(options.folder, "benchmarks.title_panel"), timed_progress()
    vectors = None if options.without_lab else encoded(panel.titles, options.vectors, tell)
    figures = measure(panel, vectors, options.seed, tell)
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    console = Console(width=140)
    for question in (FUTURE, UNSEEN):
        console.print(table(figures, question))


if __name__ == "__main__":
    main()
