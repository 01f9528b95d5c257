"""`thumblab backup`: copy the lab into a folder while the lab runs, or check such a copy."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option, here

if TYPE_CHECKING:
    from thumblab_core.settings import Settings
    from thumblab_pipelines.backup.backup import BackedUp
    from thumblab_pipelines.backup.contents import Manifest


@click.command(name="backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--verify", "only_verify", is_flag=True, help="Only read and check the backup in FOLDER. Copy nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def command(folder: Path, only_verify: bool, as_json: bool, chosen: "Settings") -> None:
    """Copy databases, pictures, releases, MLflow's artifacts and keys into FOLDER. The lab may keep running.

    FOLDER is empty or contains an earlier backup of this lab. To bring an earlier backup up to date, the command copies
    only new files. FOLDER is made private, because the backup contains the API keys. Settings (`.env`) are not copied.
    The command lists the settings that you have to set again in a restored lab.
    """
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_pipelines.backup.backup import back_up
    from thumblab_pipelines.backup.restore import verify
    from thumblab_pipelines.lab import Lab

    console = wide_console(stderr=as_json)
    with progress_bars(console) as progress:
        if only_verify:
            manifest, made = verify(folder, progress), None
        else:
            made = back_up(Lab.existing(chosen), folder, progress)
            manifest = made.manifest
    if as_json:
        counts = {} if made is None else _counts(made)
        click.echo(json.dumps(asdict(manifest) | counts))
        return
    for line in _lines(folder, manifest, made):
        click.echo(line)


def _counts(made: "BackedUp") -> dict[str, object]:
    return {"copied": made.copied, "kept": made.kept, "bytes": made.bytes, "damaged": made.damaged}


def _lines(folder: Path, manifest: "Manifest", made: "BackedUp | None") -> list[str]:
    if made is None:
        return [f"{folder} is whole: a backup of {manifest.data_dir}, made at {manifest.made_at}."]
    from thumblab_cli.printing.printable import counted

    lines = [
        f"The lab is in {folder}: {counted(made.copied, 'file')} copied ({made.bytes / 2**20:,.0f} MiB), "
        f"{made.kept:,} were kept.",
        "The backup has the API keys and everything that the lab knows: keep it private.",
        settings_line(manifest),
        f"To check it: {here(f'backup {folder} --verify')}. To use it: {here(f'restore {folder}')}",
    ]
    if manifest.missing:
        lines.append(
            f"note: the lab itself has lost {len(manifest.missing)} pictures; the next refresh fetches them again"
        )
    if made.damaged:
        lines.append(
            "note: these releases are damaged in the lab, and the backup has of their lost files only what an earlier "
            f"backup copied (`{here('doctor')}` examines the served releases): {', '.join(made.damaged)}"
        )
    if manifest.left_out:
        lines.append(f"note: these files are unknown to the lab and were not copied: {', '.join(manifest.left_out)}")
    return lines


def settings_line(manifest: "Manifest") -> str:
    """Return a sentence with the settings that a person has to set again in the restored lab."""
    if not manifest.settings:
        return "The lab had no settings of its own."
    names = ", ".join(f"THUMBLAB_{name.upper()}" for name in manifest.settings)
    return f"Settings are not copied. Carry over by hand: {names}"
