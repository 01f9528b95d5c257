"""`thumblab doctor`: examine the lab, report what is wrong, and name the command that repairs it."""

import json
from pathlib import Path

import click

from thumblab_cli.which_lab import demo_and_catalogue, lab_settings


@click.command(name="doctor")
@demo_and_catalogue("Examine the demo's lab.", "examine")
@click.option("--quiet", is_flag=True, help="Print only warnings and errors. Print nothing if there are none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, demo: bool, catalogue: Path | None, quiet: bool, as_json: bool) -> None:
    """Examine the machine, the lab and its servers. Report what is wrong, and name the command that repairs it.

    The command changes, starts and migrates nothing. The command connects only to the database, the proxies and the
    servers of the lab. The exit status is 1 if a check reports an error. Otherwise the exit status is 0, even if there
    are warnings.
    """
    from thumblab_cli.doctor import report
    from thumblab_cli.doctor.examine import Result, examine
    from thumblab_cli.doctor.examined import Examined
    from thumblab_cli.doctor.finding import Level, error
    from thumblab_cli.doctor.machine import Machine
    from thumblab_cli.printing.tables import wide_console
    from thumblab_core.errors import LabError

    console = wide_console()
    results = []
    try:
        examined = Examined(lab_settings(demo, catalogue), Machine.this(), demo, catalogue)
        found = examine(examined)
    except LabError as problem:  # A setting cannot be used, so nothing else can be examined.
        found = iter([Result("settings", (error(str(problem), "correct the setting, see docs/settings.md"),), 0.0)])
    for result in found:
        results.append(result)
        if not as_json:
            report.print_result(console, result, quiet)
    if as_json:
        click.echo(json.dumps(report.as_json(results), indent=2))
    elif not quiet or report.count(results, Level.ERROR) or report.count(results, Level.WARNING):
        console.print(report.summary(results), highlight=False)
    ctx.exit(1 if report.count(results, Level.ERROR) else 0)
