"""`thumblab fine-tune`: fine-tune the last blocks of the image encoder on the lab's own pairs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.config_options import options_of
from thumblab_cli.which_lab import chosen_settings
from thumblab_pipelines.finetune.fine_tune import FineTuneConfig

if TYPE_CHECKING:
    from thumblab_core.releases.release import Release

_FIELDS = {
    "heads": "Start with the heads of the newest ranking model, or with random heads.",
    "epochs": "The number of epochs. An epoch shows each picture once.",
    "pictures": "Pictures in a batch.",
    "accumulate": "The number of batches in one optimizer step. Use several if a larger batch does not fit into "
    "memory.",
    "encoder_rate": "The learning rate of the last block of the image tower.",
    "layer_decay": "The learning rate of each block is that of the block after it, times this factor.",
    "heads_rate": "The learning rate of the heads.",
    "weight_decay": "The weight decay of AdamW.",
    "pair_loss": "The loss of a pair: the log odds of winning (Bradley-Terry), or a margin loss.",
    "least_margin": "Leave out pairs with a smaller margin: 0.1 means that the loser has 10 % fewer views.",
    "activations_gib": "GiB of disk for the activations of the frozen blocks. 0: compute them again in every epoch.",
    "seed": "The seed of the random numbers.",
}


class _Blocks(click.ParamType[Any]):
    """The type of an option that takes a number of blocks, or the word "all"."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "all" else click.IntRange(min=1).convert(value, param, ctx)


@click.command(name="fine-tune")
@click.option(
    "--blocks",
    type=_Blocks(),
    default=FineTuneConfig.blocks,
    show_default=True,
    help="How many blocks to train, counted back from the last block, or `all`.",
)
@options_of(FineTuneConfig, _FIELDS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool, **chosen: Any) -> None:
    """Fine-tune the last blocks of the image encoder on the newest training pairs of the lab.

    The encoder must be an open_clip model. The result is a new encoder. The lab uses the new encoder only when
    THUMBLAB_IMAGE_ENCODER names it.

    If the command is killed, run the same command again. The fine-tuning resumes after the last complete epoch. If
    nothing has changed since the last fine-tuning, the command trains nothing and shows the existing encoder. See
    docs/encoders.md.
    """
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_pipelines.dataset.retained_pairs import newest_pairs
    from thumblab_pipelines.finetune.fine_tune import fine_tune
    from thumblab_pipelines.lab import Lab

    lab, config, console = Lab.existing(chosen_settings()), FineTuneConfig(**chosen), wide_console(stderr=as_json)
    with progress_bars(console) as listener:
        release = fine_tune(lab, newest_pairs(lab), config, listener)
    summary = _summary(release)
    if as_json:
        click.echo(json.dumps(summary | {"config": asdict(config)}))
    else:
        for line in _lines(summary):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _summary(release: "Release") -> dict[str, Any]:
    """Return the facts that `--json` prints about an encoder release."""
    from thumblab_pipelines.finetune.fine_tune import encoder_setting

    facts = ["base", "blocks", "pairs_release", "forgotten", "pictures", "unreadable", "pairs", "validation_auc_before"]
    return {
        "release": str(release),
        "setting": encoder_setting(release),
        **{name: release.info[name] for name in facts},
        "history": json.loads((release.path / "history.json").read_text()),
    }


def _lines(summary: dict[str, Any]) -> list[str]:
    """Return the lines that the command prints without `--json`: facts about the new encoder, and what to do next."""
    aucs = [epoch["validation_auc"] for epoch in summary["history"] if epoch["validation_auc"] is not None]
    before = summary["validation_auc_before"]
    blocks = ", ".join(map(str, summary["blocks"]))
    lines = [f"{summary['release']}: {blocks} of {summary['base']} were trained on {summary['pairs']} pairs."]
    if aucs and before is not None:
        lines.append(
            f"AUC on the validation pairs: {before:.3f} before the fine-tuning, {max(aucs):.3f} after the best epoch."
        )
    if summary["unreadable"]:
        lines.append(
            f"{len(summary['unreadable'])} of {summary['pictures']} pictures could not be read; the release lists them."
        )
    if summary["forgotten"]:
        lines.append(f"{summary['forgotten']} videos have been deleted since the pairs were made, and were left out.")
    return [
        *lines,
        "The encoder is not used yet. To use it:",
        f"  1. set THUMBLAB_IMAGE_ENCODER={summary['setting']}",
        "  2. materialize embeddings, faiss_index and served_index of every niche (job refresh_library)",
        "  3. materialize training_pairs and ranking_model (job train_ranker), which compares it with the served model",
    ]
