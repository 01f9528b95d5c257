"""`thumblab restore`: restore a lab from a backup."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


@click.command(name="restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def command(folder: Path, as_json: bool, chosen: "Settings") -> None:
    """Restore the backup in FOLDER into the data folder (THUMBLAB_DATA_DIR), which must be empty.

    The whole backup is checked before anything is written. Restore only backups that you trust: a backup may contain
    code, which the lab then runs.
    """
    from thumblab_cli.commands.copies.backup import settings_line
    from thumblab_cli.printing.printable import counted
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_pipelines.backup.restore import restore

    with progress_bars(wide_console(stderr=as_json)) as progress:
        restored = restore(folder, chosen, progress)
    if as_json:
        made = {"data_dir": str(restored.data_dir), "files": restored.files, "interrupted": restored.interrupted}
        click.echo(json.dumps(asdict(restored.manifest) | made))
        return
    click.echo(
        f"The lab as of {restored.manifest.made_at} is in {restored.data_dir}: {counted(restored.files, 'file')}."
    )
    if restored.interrupted:
        click.echo(
            f"{restored.interrupted} runs were in progress at the backup; Dagster marks them as failed, and retries them."
        )
    click.echo(settings_line(restored.manifest))
    click.echo("Let only the old lab or this lab run its schedules: both would spend the quota of the same API key.")
