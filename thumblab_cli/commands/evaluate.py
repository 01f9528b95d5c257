"""thumblab evaluate: the model beside its baselines, on a catalogue or as it is served."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_core.releases.release import Release
    from thumblab_pipelines.collection.catalogue import Imported
    from thumblab_pipelines.lab import Lab

_SHARE = 0.8
"""Of each channel, what models that are trained here are adapted on."""


@click.command(name="evaluate")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Judge on this catalogue, apart from the lab's own library.",
)
@click.option("--encoder", help="Image encoder, such as builtin; default: THUMBLAB_IMAGE_ENCODER.")
@click.option("--model", metavar="champion|RELEASE", help="Judge this model of the lab; on a catalogue, train none.")
@click.option(
    "--adapt",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="With --model: adapt to the first so much of each channel by date, and judge on the rest, such as 0.8.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Train with this seed.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    catalogue: Path | None, encoder: str | None, model: str | None, adapt: float | None, seed: int | None, as_json: bool
) -> None:
    """Measure a ranking model on held-out pairs, beside what age, length and title alone can do.

    Without --catalogue: the evaluation of the model that is served. With it, a model is trained on the first part of each
    channel and judged on the last, and another is judged on channels it never saw; done again, only what is new is encoded.
    With --catalogue and --model: that very model, encoded as it was trained. Pairs of videos that it was trained on are left
    out, and counted.
    """
    from thumblab_cli.printing.tables import whole_console
    from thumblab_pipelines.lab import Lab

    if encoder is not None and (catalogue is None or model is not None):
        raise click.UsageError("--encoder is for a model that is trained here; another one has its own.")
    if seed is not None and (catalogue is None or model is not None):
        raise click.UsageError("--seed is for a model that is trained here.")
    if adapt not in (None, _SHARE) and (catalogue is None or model is None):
        raise click.UsageError(f"What is trained is adapted on {_SHARE}; another share takes --catalogue and --model.")
    console = whole_console(stderr=as_json)
    if catalogue is None:
        lab = Lab.open()
        _trained_here(console, as_json, lab, _named(lab, model or "champion"))
    elif model is None:
        _train_on(console, as_json, catalogue, encoder, seed)
    else:
        _judge_on(console, as_json, catalogue, model, adapt)


def _named(lab: "Lab", model: str) -> "Release":
    from thumblab_pipelines.evaluation.on_catalogue import named_model

    return named_model(lab, model)


def _train_on(console: "Console", as_json: bool, catalogue: Path, encoder: str | None, seed: int | None) -> None:
    from thumblab_cli.printing.tables import print_import, progress_bars
    from thumblab_pipelines.evaluation.on_catalogue import mirror_catalogue
    from thumblab_pipelines.models.offline import build_offline
    from thumblab_pipelines.training.config import TrainConfig

    lab = _lab_of(catalogue, {"image_encoder": encoder} if encoder else {})
    with progress_bars(console) as listener:
        report = mirror_catalogue(lab, catalogue, listener)
        built = build_offline(lab, listener, TrainConfig() if seed is None else TrainConfig(seed=seed))
    print_import(console, report)
    _trained_here(console, as_json, lab, built.release, report)


def _trained_here(
    console: "Console", as_json: bool, lab: "Lab", model: "Release", report: "Imported | None" = None
) -> None:
    """What the release says of itself: it has seen no pair that it was judged on."""
    from thumblab_cli.printing.evaluation import as_object
    from thumblab_cli.printing.tables import print_evaluation
    from thumblab_pipelines.dataset.kept_pairs import named_pairs
    from thumblab_pipelines.evaluation.on_catalogue import channel_names
    from thumblab_pipelines.evaluation.questions import FUTURE
    from thumblab_pipelines.models.build import BuiltModel

    evaluations = BuiltModel(model, reused=True).evaluations
    if not as_json:
        print_evaluation(console, evaluations)
        return
    counted = None
    if report is not None:
        counted = _counted(report, named_pairs(lab, str(model.info["pairs_release"])))
    said = as_object(evaluations, FUTURE, channel_names(lab))
    unseen = {"videos": 0, "pairs": 0}
    click.echo(json.dumps({"release": model.release_id, "catalogue": counted, **said, "seen_left_out": unseen}))


def _judge_on(console: "Console", as_json: bool, catalogue: Path, named: str, share: float | None) -> None:
    from thumblab_cli.printing.evaluation import as_object, print_catalogue_evaluation
    from thumblab_cli.printing.tables import print_import, progress_bars
    from thumblab_pipelines.evaluation.on_catalogue import (
        UNADAPTED,
        channel_names,
        encoding_of,
        evaluate_on_catalogue,
        mirror_catalogue,
    )
    from thumblab_pipelines.lab import Lab

    home = Lab.open()
    model = _named(home, named)
    lab = _lab_of(catalogue, encoding_of(home, model))
    with progress_bars(console) as listener:
        report = mirror_catalogue(lab, catalogue, listener)
        judged = evaluate_on_catalogue(home, model, lab, share, listener)
    print_import(console, report)
    if as_json:
        said = as_object(judged.evaluations, UNADAPTED, channel_names(lab))
        counted = _counted(report, judged.pairs_release) | {"channels_adapted": judged.channels_adapted}
        found = {"release": model.release_id, "catalogue": counted, **said, "seen_left_out": judged.seen}
        click.echo(json.dumps(found))
    else:
        print_catalogue_evaluation(console, model, judged, share, channel_names(lab))


def _lab_of(catalogue: Path, changes: dict[str, Any]) -> "Lab":
    """A lab for this folder alone, below the data folder: nothing of it comes near the lab's own library."""
    from thumblab_core.settings import settings
    from thumblab_pipelines.lab import Lab

    chosen = settings()
    place = hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]
    apart = {"data_dir": chosen.data_dir / "evaluations" / place, "database_url": None, "release_dir": None}
    return Lab.open(chosen.model_copy(update=apart | changes))


def _counted(report: "Imported", pairs: "Release") -> dict[str, Any]:
    """What the catalogue came to: rows read, and what the pairs were made of."""
    read = {name: value for name, value in asdict(report).items() if isinstance(value, int)}
    return read | {name: pairs.info[name] for name in ("videos", "channels", "pairs", "excluded")}
