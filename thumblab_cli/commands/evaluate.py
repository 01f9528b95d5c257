"""`thumblab evaluate`: measure a ranking model and its reference models, on the lab's videos or on a catalogue."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.which_lab import chosen_settings

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from rich.console import Console

    from thumblab_core.releases.release import Release
    from thumblab_pipelines.collection.catalogue import Imported
    from thumblab_pipelines.lab import Lab

_SHARE = 0.8
"""A model that this command trains is adapted to the oldest videos of each channel. This number is the share of a
channel's videos that the model is adapted to.
"""


@click.command(name="evaluate")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Evaluate on this catalogue. Its videos are kept apart from the lab's own library.",
)
@click.option("--encoder", help="Image encoder to train with, such as builtin; default: THUMBLAB_IMAGE_ENCODER.")
@click.option("--model", metavar="champion|RELEASE", help="Evaluate this model of the lab, and train no new model.")
@click.option(
    "--adapt",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="With --catalogue and --model: adapt the model to this share of each channel's videos, and evaluate it on "
    "the rest. With 0.8, the model is adapted to the oldest 80 %.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Train with this seed.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    catalogue: Path | None, encoder: str | None, model: str | None, adapt: float | None, seed: int | None, as_json: bool
) -> None:
    """Measure a ranking model on held-out pairs, beside simple reference models such as the video's age.

    Without --catalogue: print the figures of the served model, or of the model that --model names. These figures were
    measured when the model was trained.

    With --catalogue: train a model on the older videos of each channel, and evaluate it on the newest videos. The
    figures on unseen channels come from further models, each trained without some of the channels. A second run encodes
    only new pictures.

    With --catalogue and --model: evaluate the given model, with the encoders that it was trained with. Pairs with a
    video that the model was trained on are left out. The output shows the number of these pairs.
    """
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.lab import Lab

    if encoder is not None and (catalogue is None or model is not None):
        raise click.UsageError("--encoder is only for training a model. Use it with --catalogue and without --model.")
    if seed is not None and (catalogue is None or model is not None):
        raise click.UsageError("--seed is only for training a model. Use it with --catalogue and without --model.")
    if adapt not in (None, _SHARE) and (catalogue is None or model is None):
        raise click.UsageError(
            f"A model that this command trains is always adapted to {_SHARE} of each channel's videos. To adapt "
            f"a model to another share, use --adapt with --catalogue and --model."
        )
    console = wide_console(stderr=as_json)
    if catalogue is None:
        lab = Lab.existing(chosen_settings())
        _print_recorded(console, as_json, lab, _named(lab, model or "champion"))
    elif model is None:
        _train_on(console, as_json, catalogue, encoder, seed)
    else:
        _evaluate_on(console, as_json, catalogue, model, adapt)


def _named(lab: "Lab", model: str) -> "Release":
    from thumblab_pipelines.evaluation.on_catalogue import named_model

    return named_model(lab, model)


def _train_on(console: "Console", as_json: bool, catalogue: Path, encoder: str | None, seed: int | None) -> None:
    """Train a model on a catalogue and print the figures of its evaluation."""
    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.evaluation.on_catalogue import mirror_catalogue
    from thumblab_pipelines.models.offline import build_offline
    from thumblab_pipelines.training.config import TrainConfig

    lab = _lab_of(catalogue, {"image_encoder": encoder} if encoder else {})
    with progress_bars(console) as listener:
        report = mirror_catalogue(lab, catalogue, listener)
        built = build_offline(lab, listener, TrainConfig() if seed is None else TrainConfig(seed=seed))
    print_import(console, report)
    _print_recorded(console, as_json, lab, built.release, report)


def _print_recorded(
    console: "Console", as_json: bool, lab: "Lab", model: "Release", report: "Imported | None" = None
) -> None:
    """Print the figures that are stored in the release of a model.

    The figures were measured on pairs that the model was not trained on.

    If the model was trained on a catalogue, `report` says how many rows of the catalogue were imported and skipped.
    `report` is None if the model was trained on the lab's own videos.
    """
    from thumblab_cli.printing.catalogue_evaluation import as_object
    from thumblab_cli.printing.evaluation import print_evaluation
    from thumblab_pipelines.dataset.retained_pairs import named_pairs
    from thumblab_pipelines.evaluation.figures import FUTURE
    from thumblab_pipelines.evaluation.on_catalogue import channel_names
    from thumblab_pipelines.models.build import BuiltModel

    evaluations = BuiltModel(model, reused=True).evaluations
    if not as_json:
        print_evaluation(console, evaluations)
        return
    counts = None
    if report is not None:
        counts = _counts(report, named_pairs(lab, str(model.info["pairs_release"])))
    figures = as_object(evaluations, FUTURE, channel_names(lab))
    _print_json(model, counts, figures, {"videos": 0, "pairs": 0})


def _evaluate_on(console: "Console", as_json: bool, catalogue: Path, name: str, share: float | None) -> None:
    """Evaluate an existing model on a catalogue and print the figures."""
    from thumblab_cli.printing.catalogue_evaluation import as_object, print_catalogue_evaluation
    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.evaluation.on_catalogue import (
        UNADAPTED,
        channel_names,
        encoding_of,
        evaluate_on_catalogue,
        mirror_catalogue,
    )
    from thumblab_pipelines.lab import Lab

    home = Lab.existing(chosen_settings())
    model = _named(home, name)
    lab = _lab_of(catalogue, encoding_of(home, model))
    with progress_bars(console) as listener:
        report = mirror_catalogue(lab, catalogue, listener)
        evaluated = evaluate_on_catalogue(home, model, lab, share, listener)
    print_import(console, report)
    if as_json:
        figures = as_object(evaluated.evaluations, UNADAPTED, channel_names(lab))
        counts = _counts(report, evaluated.pairs_release) | {"channels_adapted": evaluated.channels_adapted}
        _print_json(model, counts, figures, evaluated.trained_on)
    else:
        print_catalogue_evaluation(console, model, evaluated, share, channel_names(lab))


def _print_json(
    model: "Release", counts: dict[str, Any] | None, figures: dict[str, Any], left_out: dict[str, int] | None
) -> None:
    """Print the JSON object that docs/evaluation.md describes.

    `left_out` says how many videos and pairs were left out because the model was trained on them.
    """
    click.echo(json.dumps({"release": model.release_id, "catalogue": counts, **figures, "seen_left_out": left_out}))


def _lab_of(catalogue: Path, changes: dict[str, Any]) -> "Lab":
    """Open a separate lab for this catalogue folder. The videos of the catalogue never enter the lab's own library.

    The separate lab has its own database. The data folder of the separate lab lies below the data folder of the user's
    lab. All other settings are the settings of the user's lab, except for the settings in `changes`.
    """
    from thumblab_pipelines.lab import Lab

    chosen = chosen_settings()
    folder = hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]
    own = dict.fromkeys(("database_url", "release_dir", "release_store", "image_store"))
    apart = {"data_dir": chosen.data_dir / "evaluations" / folder, **own}
    return Lab.open(chosen.model_copy(update=apart | changes))


def _counts(report: "Imported", pairs: "Release") -> dict[str, Any]:
    """Return how many rows an imported catalogue has, and how many videos and pairs the lab made of these rows."""
    rows = {name: value for name, value in asdict(report).items() if isinstance(value, int)}
    return rows | {name: pairs.info[name] for name in ("videos", "channels", "pairs", "excluded")}
