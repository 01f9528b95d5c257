"""thumblab evaluate: the model beside its baselines, on a catalogue or as it is served."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command(name="evaluate")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Import, encode, train and judge on this catalogue, apart from the lab's own library.",
)
@click.option("--encoder", help="Image encoder, such as builtin; default: THUMBLAB_IMAGE_ENCODER.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(catalogue: Path | None, encoder: str | None, as_json: bool) -> None:
    """Measure the ranking model on held-out pairs, beside what age, length and title alone can do.

    Without --catalogue: the evaluation of the model that is served. With it, a model is trained on the first part of each
    channel and judged on the last, and another is judged on channels it never saw; done again, only what is new is encoded.
    """
    from rich.console import Console

    from thumblab_cli.tables import evaluation_table, print_import, progress_bars
    from thumblab_core.errors import LabError
    from thumblab_core.releases import ALL, MODEL
    from thumblab_core.settings import settings
    from thumblab_pipelines.steps.catalogue import import_catalogue
    from thumblab_pipelines.steps.lab import Lab
    from thumblab_pipelines.steps.offline import build_offline
    from thumblab_pipelines.steps.ranking import BuiltModel

    console = Console(stderr=as_json)
    chosen = settings()
    if catalogue is None:
        release = Lab.open().releases.current(MODEL, ALL)
        if release is None:
            raise LabError("no model is served yet; run `thumblab demo`, or evaluate a catalogue with --catalogue DIR")
        built = BuiltModel(release, reused=True)
    else:
        place = hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]
        changes = {
            "data_dir": chosen.data_dir / "evaluations" / place,
            "database_url": None,
            "release_dir": None,
            **({"image_encoder": encoder} if encoder else {}),
        }
        lab = Lab.open(chosen.model_copy(update=changes))
        with progress_bars(console) as listener:
            report = import_catalogue(lab, catalogue, listener)
            built = build_offline(lab, listener)
        print_import(console, report)
    if as_json:
        click.echo(
            json.dumps({"release": built.release.release_id, "evaluations": [asdict(e) for e in built.evaluations]})
        )
    else:
        for split in ("future", "new_channels"):
            console.print(evaluation_table(built.evaluations, split))
