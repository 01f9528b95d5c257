"""`thumblab experiment`: store, report and plan tests of two or three thumbnails or titles on one video."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.niche_type import NICHE
from thumblab_cli.which_lab import chosen_settings, on_this_lab
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from collections.abc import Sequence

    from thumblab_core.experiments.records import GivenVariant, StoredExperiment
    from thumblab_pipelines.experiments.plan import ExperimentPlan

_SHOWN_LINES = 50
"""The default of `--limit`: the largest number of experiments, notes or faulty rows that a command prints."""

_STORING = "`thumblab experiment add` and `thumblab experiment import` store them"
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_day = click.DateTime(["%Y-%m-%d"])
_picture = click.Path(exists=True, dir_okay=False, path_type=Path)
_CHANNEL = "The channel: its id, exact title, @handle or link."
_only_channel = click.option(
    "--channel", help="Limit the output to this channel: its id, exact title, @handle or link."
)


@click.group()
def command() -> None:
    """Store the outcome of a test of two or three thumbnails on one video, and plan the next test.

    YouTube has no API for its Test & Compare, so you copy the outcome from YouTube Studio. See docs/experiments.md.
    """


@command.command()
@click.option("--channel", required=True, help=_CHANNEL)
@click.option("--video", required=True, help="The id of the video.")
@click.option("--started", required=True, type=_day, help="The first day of the test (YYYY-MM-DD).")
@click.option("--ended", type=_day, help="The last day of the test, if it is known.")
@click.option(
    "--outcome",
    required=True,
    type=click.Choice(["winner", "performed-the-same", "inconclusive"]),
    help="The outcome that YouTube shows for the test.",
)
@click.option(
    "--winner", type=int, help="The number of the winning variant. Default: the variant with the largest share."
)
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    type=_picture,
    help="The picture of a variant. Give the option 2 or 3 times.",
)
@click.option("--title", "titles", multiple=True, help="The title of all variants, or one title for each variant.")
@click.option("--share", "shares", multiple=True, type=float, help="The share of watch time of each variant, in %.")
@click.option("--impressions", multiple=True, type=click.IntRange(min=0), help="The impressions of each variant.")
@_json
def add(as_json: bool, **given: Any) -> None:
    """Store one experiment. The new experiment replaces a stored experiment of the same channel, video and first day.

    Give --picture, --title, --share and --impressions once for each variant, in the same order.

    \b
    For example:
      thumblab experiment add --channel @me --video dQw4w9WgXcQ --started 2026-11-01 --outcome winner \\
        --picture a.jpg --picture b.jpg --share 46.1 --share 53.9
    """
    from thumblab_core.experiments.records import GivenExperiment
    from thumblab_pipelines.experiments.add import ExperimentWriter
    from thumblab_pipelines.lab import Lab

    ended: datetime | None = given["ended"]
    experiment = GivenExperiment(
        channel=given["channel"],
        video_id=given["video"],
        started_on=given["started"].date(),
        outcome=given["outcome"],
        variants=_variants(given["pictures"], given["titles"], given["shares"], given["impressions"]),
        ended_on=None if ended is None else ended.date(),
        winner=given["winner"],
    )
    added = ExperimentWriter(Lab.open(chosen_settings())).add(experiment)
    contradiction = added.experiment.contradiction
    if as_json:
        report = {"experiment_id": added.experiment_id, "state": added.state, "note": contradiction}
        click.echo(json.dumps(report | asdict(added.experiment), indent=2, default=str))
        return
    if contradiction:
        click.echo(f"note: {contradiction}; check both")
    click.echo(f"Experiment {added.experiment_id} is {'stored' if added.state == 'new' else added.state}.")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=_SHOWN_LINES,
    show_default=True,
    help="Print at most this number of notes, and at most this number of problems. --json prints all of them.",
)
@_json
def import_command(file: Path, limit: int, as_json: bool) -> None:
    """Store the experiments of a CSV FILE. Each row contains one experiment.

    \b
    Columns: channel, video_id, started_on, outcome; for each variant
    picture_1, title_1, share_1, impressions_1 (then _2, _3);
    optional: ended_on, winner, and title (one title for all variants).

    A row that cannot be read is reported and skipped. The exit status is 1 if no row could be stored.
    docs/experiments.md describes the columns.
    """
    from thumblab_cli.printing.experiments import print_experiment_import
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_pipelines.experiments.import_csv import import_experiments
    from thumblab_pipelines.lab import Lab

    console = wide_console(stderr=as_json)
    with progress_bars(console) as listener:
        report = import_experiments(Lab.open(chosen_settings()), file, listener)
    if as_json:
        click.echo(json.dumps(asdict(report) | {"stored": report.stored}, indent=2))
    else:
        print_experiment_import(console, report, limit)
    if not report.stored:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"none of the {report.rows} experiments of {file} was stored{first}")


@command.command("list")
@_only_channel
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="The largest number of experiments to list. Default: 50; with --json, all of them.",
)
@_json
def list_command(channel: str | None, limit: int | None, as_json: bool) -> None:
    """List the experiments, the newest first."""
    from thumblab_cli.printing.experiments import print_experiments
    from thumblab_cli.printing.tables import wide_console

    stored, count = _stored(channel, limit or (None if as_json else _SHOWN_LINES))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in stored], indent=2, default=str))
    elif stored:
        print_experiments(wide_console(), stored)
    if stored and len(stored) < count:
        click.echo(f"{len(stored)} of {count} experiments are listed; --limit {count} lists all of them.", err=True)
    if not stored and not as_json:
        of_channel = "" if channel is None else " of this channel"
        click.echo(on_this_lab(f"No experiment{of_channel} is stored; {_STORING}."))


@command.command()
@_only_channel
@_json
def report(channel: str | None, as_json: bool) -> None:
    """Show the outcomes of each channel, and how often the order of the served model agreed with the outcomes.

    An experiment is compared with the model only if the lab has the vectors of all its pictures and titles.
    """
    from thumblab_cli.printing.experiments import print_channel_reports, print_line
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.experiments.model_scores import served_scores
    from thumblab_pipelines.experiments.report import report_channels
    from thumblab_pipelines.lab import Lab

    stored, _ = _stored(channel)
    scores = served_scores(Lab.existing(chosen_settings()), stored) if stored else None
    reports = report_channels(stored, scores)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in reports], indent=2))
        return
    if not reports:
        click.echo(on_this_lab(f"No experiment is stored; {_STORING}."))
        return
    console = wide_console()
    print_channel_reports(console, reports)
    if scores is None:
        print_line(console, "No ranking model is served, so no order was compared with the outcomes.")
    elif not scores:
        print_line(
            console,
            "The lab has no vectors of the pictures and titles of these experiments, so no order was compared with the "
            "outcomes.",
        )


@command.command()
@click.argument("experiment_id", type=click.IntRange(1, 2**31 - 1))
def remove(experiment_id: int) -> None:
    """Delete the experiment with the id EXPERIMENT_ID. The next run of the Dagster asset `lab_retention` deletes its
    pictures."""
    from thumblab_core.experiments.store import remove_experiment
    from thumblab_pipelines.lab import Lab

    with Lab.existing(chosen_settings()).engine.begin() as connection:
        removed = remove_experiment(connection, experiment_id)
    if not removed:
        raise LabError(f"there is no experiment {experiment_id}; `thumblab experiment list` shows the ids")
    click.echo(f"Experiment {experiment_id} is removed.")


@command.command()
@click.argument("images", nargs=-1, required=True, type=_picture, metavar="IMAGE...")
@click.option("--channel", help=_CHANNEL + " Its usual click-through rate is the baseline.")
@click.option("--ctr", type=click.FloatRange(0, 100, min_open=True, max_open=True), help="Another baseline, in %.")
@click.option(
    "--lift",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="The relative lift that the test must be able to find, in %.",
)
@click.option(
    "--title", help="The title of the video. With --title and --niche, the served model chooses the two images to test."
)
@click.option("--niche", type=NICHE, help="The niche of the video.")
@_json
def plan(images: tuple[Path, ...], channel: str | None, as_json: bool, **options: Any) -> None:
    """Plan a test of two of the IMAGEs.

    The plan says how many impressions the test needs, which two images to test, and which images are too alike.

    The lift is relative: a lift of 10 % raises a click-through rate of 5 % to 5.5 %. If one picture is better by the
    lift, the test finds this difference with a probability of 80 %. If the pictures are equally good, the test still
    reports a difference with a probability of 5 %.
    """
    from thumblab_core.experiments.planning import ASSUMED_CTR
    from thumblab_core.experiments.usual_ctr import usual_ctr
    from thumblab_pipelines.experiments.add import find_channel_id
    from thumblab_pipelines.experiments.plan import plan_experiment
    from thumblab_pipelines.lab import Lab

    title, niche = options["title"], options["niche"]
    if (title is None) != (niche is None):
        raise LabError("the model needs a title and a niche; give both --title and --niche, or neither")
    images = tuple(dict.fromkeys(images))
    lab = None if channel is None and title is None else Lab.existing(chosen_settings())
    channel_id = None if channel is None or lab is None else find_channel_id(lab, channel)
    usual = None
    if channel_id is not None and lab is not None:
        with lab.engine.connect() as connection:
            usual = usual_ctr(connection, channel_id)
    ctr, source = ASSUMED_CTR, "assumed, because neither --channel nor --ctr is given"
    if options["ctr"] is not None:
        ctr, source = options["ctr"] / 100, "as given"
    elif usual is not None:
        ctr, source = usual.ctr, f"of {usual.impressions:,} impressions of {usual.videos} videos"
    elif channel_id is not None:
        source = "assumed, because the lab knows fewer than 1,000 impressions of the channel"
    scores, proven = None, True
    if title is not None and lab is not None:
        from thumblab_cli.commands.score import win_probabilities

        chances, proven = win_probabilities(lab.settings, [str(image) for image in images], title, niche, channel_id)
        # `plan_experiment` takes scores and a slope. The service answers with win probabilities (`chances`), which are
        # proportional to exp(slope * score). The logarithms of win probabilities can therefore be used as scores with a
        # slope of 1.
        scores = _logs(chances)
    planned = plan_experiment(images, scores, 1.0, ctr, options["lift"] / 100, proven)
    if as_json:
        click.echo(json.dumps(asdict(planned) | {"ctr_source": source}, indent=2))
        return
    for line in _plan_lines(planned, source):
        click.echo(line)


def _plan_lines(planned: "ExperimentPlan", source: str) -> list[str]:
    from thumblab_cli.printing.printable import printable
    from thumblab_core.ranking.confidence import percent

    names = [printable(name) for name in planned.candidates]
    each = planned.impressions_per_variant
    lines = [
        f"Baseline: a click-through rate of {100 * planned.ctr:.2f} % ({source}).",
        f"A test that finds a lift of {100 * planned.lift:g} % (to {100 * planned.ctr * (1 + planned.lift):.2f} %) with "
        f"{100 * planned.power:g} % probability needs {each:,} impressions of each variant, {2 * each:,} in all.",
    ]
    lines += [
        f"Too alike: {names[pair.first]} and {names[pair.second]} ({pair.bits} of 64 bits of their hashes differ)."
        for pair in planned.alike
    ]
    if planned.pair is None:
        return [*lines, planned.advice]
    pair = planned.pair
    return [
        *lines,
        f"Test {names[pair.first]} against {names[pair.second]}: the model says that the first image wins with "
        f"{int(percent(pair.win_probability))} %, and the outcome is expected to tell {pair.information:.2f} of 1 bit.",
    ]


def _logs(probabilities: "Sequence[float | None]") -> list[float | None]:
    from math import log

    least = 1e-300  # A very small probability may be rounded to 0, which has no logarithm.
    return [None if probability is None else log(max(probability, least)) for probability in probabilities]


def _stored(channel: str | None, limit: int | None = None) -> "tuple[list[StoredExperiment], int]":
    """Return the newest experiments of a channel, or of all channels, and the total number of stored experiments.

    At most `limit` experiments are returned.
    """
    from thumblab_core.experiments.store import count_experiments, read_experiments
    from thumblab_pipelines.experiments.add import find_channel_id
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen_settings())
    channel_id = None if channel is None else find_channel_id(lab, channel)
    with lab.engine.connect() as connection:
        return read_experiments(connection, channel_id, limit=limit), count_experiments(connection, channel_id)


def _variants(
    pictures: "Sequence[Path]", titles: "Sequence[str]", shares: "Sequence[float]", impressions: "Sequence[int]"
) -> "list[GivenVariant[Path]]":
    """Return the variants of an experiment. If only one title is given, it is the title of all pictures.

    Every other option must be left out, or given once for each variant. Otherwise, `LabError` is raised.
    """
    from thumblab_core.experiments.records import GivenVariant

    count = len(pictures) or len(titles)
    if len(titles) == 1 and count > 1:
        titles = list(titles) * count
    for name, values in (("title", titles), ("share", shares), ("impressions", impressions)):
        if values and len(values) != count:
            raise LabError(f"--{name} is given {len(values)} times for {count} variants; give it once for each variant")
    return [
        GivenVariant(
            pictures[at] if pictures else None,
            titles[at] if titles else None,
            shares[at] if shares else None,
            impressions[at] if impressions else None,
        )
        for at in range(count)
    ]
