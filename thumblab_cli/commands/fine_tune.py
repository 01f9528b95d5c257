"""thumblab fine-tune: an image encoder whose last blocks have learnt from the lab's own pairs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.config_options import options_of
from thumblab_pipelines.finetune.fine_tune import FineTuneConfig

if TYPE_CHECKING:
    from thumblab_core.releases.release import Release

_FIELDS = {
    "heads": "Start as the newest ranking model's heads, or at random.",
    "epochs": "How often every picture is shown.",
    "pictures": "Pictures in a step.",
    "accumulate": "Batches of pictures in a step, where one does not fit into memory.",
    "encoder_rate": "Learning rate of the end of the tower.",
    "layer_decay": "Times as much for every block below it.",
    "heads_rate": "Learning rate of the heads.",
    "weight_decay": "Of AdamW.",
    "pair_loss": "How a pair teaches: by the log odds of winning (Bradley-Terry), or by a margin.",
    "least_margin": "Leave out pairs whose winner has less more: 0.1 is a tenth of its views.",
    "activations_gib": "Room on the disk for what the frozen blocks make of the pictures; 0: compute it in every epoch.",
    "seed": "What chance does.",
}


class _Blocks(click.ParamType[Any]):
    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "all" else click.IntRange(min=1).convert(value, param, ctx)


@click.command(name="fine-tune")
@click.option(
    "--blocks",
    type=_Blocks(),
    default=FineTuneConfig.blocks,
    show_default=True,
    help="How many last blocks learn, or all.",
)
@options_of(FineTuneConfig, _FIELDS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool, **chosen: Any) -> None:
    """Let the end of the image encoder learn from the newest pairs of the lab which of two pictures wins.

    Takes an open_clip encoder. What comes of it is an encoder of its own, which nothing uses until the settings name it.
    Killed, the same command goes on after the last whole epoch; done again with nothing new, it finds what is there. See
    docs/encoders.md.
    """
    from thumblab_cli.printing.tables import progress_bars, whole_console
    from thumblab_pipelines.dataset.kept_pairs import newest_pairs
    from thumblab_pipelines.finetune.fine_tune import fine_tune
    from thumblab_pipelines.lab import Lab

    lab, config, console = Lab.open(), FineTuneConfig(**chosen), whole_console(stderr=as_json)
    with progress_bars(console) as listener:
        release = fine_tune(lab, newest_pairs(lab), config, listener)
    said = _said(release)
    if as_json:
        click.echo(json.dumps(said | {"config": asdict(config)}))
    else:
        for line in _lines(said):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _said(release: "Release") -> dict[str, Any]:
    from thumblab_pipelines.finetune.fine_tune import setting_of

    told = ["base", "blocks", "pairs_release", "forgotten", "pictures", "unreadable", "pairs"]
    told.append("validation_auc_before")
    return {
        "release": str(release),
        "setting": setting_of(release),
        **{name: release.info[name] for name in told},
        "history": json.loads((release.path / "history.json").read_text()),
    }


def _lines(said: dict[str, Any]) -> list[str]:
    aucs = [epoch["validation_auc"] for epoch in said["history"] if epoch["validation_auc"] is not None]
    lines = [
        f"{said['release']}: {', '.join(map(str, said['blocks']))} of {said['base']} learnt from {said['pairs']} pairs."
    ]
    if aucs and said["validation_auc_before"] is not None:
        lines.append(
            f"AUC on the validation pairs: {said['validation_auc_before']:.3f} before, {max(aucs):.3f} at best."
        )
    if said["unreadable"]:
        lines.append(
            f"{len(said['unreadable'])} of {said['pictures']} pictures could not be read; the release names them."
        )
    if said["forgotten"]:
        lines.append(f"{said['forgotten']} videos of its pairs were forgotten since they were made, and left out.")
    return [
        *lines,
        "Nothing uses it yet. To use it:",
        f"  1. THUMBLAB_IMAGE_ENCODER={said['setting']}",
        "  2. materialize embeddings, faiss_index and served_index of every niche (job refresh_library)",
        "  3. materialize training_pairs and ranking_model (job train_ranker), which compares it with the model before",
    ]
