"""Tests of previews, the pictures in the metadata that Dagster shows for an asset."""

import base64
import io
import re
from collections.abc import Callable

import dagster as dg
from PIL import Image

from thumblab_core.releases.release import Release
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.defs.previews import NAME, REMOVED, picture_preview
from thumblab_pipelines.evaluation.figures import Evaluation
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.previews.contact_sheet import contact_sheet
from thumblab_pipelines.previews.markdown import MOST_BYTES, within_limit
from thumblab_pipelines.previews.model_plots import model_plots
from thumblab_pipelines.previews.pairs_sample import pairs_sample

_PICTURE = "![sheet](data:image/jpeg;base64,AAAA)"


def shown(text: str | None) -> Image.Image:
    """Return the picture that is embedded in the Markdown text of a preview."""
    assert text is not None
    assert len(text) < MOST_BYTES
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/(?:jpeg|png);base64,([A-Za-z0-9+/=]+)\)", text)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_the_newest_thumbnails_are_one_small_picture(small: object) -> None:
    lab: Lab = small.lab  # type: ignore[attr-defined]
    assert shown(contact_sheet(lab, "tech")).size == (6 * 164 + 4, 4 * 94 + 4)


def test_a_niche_without_pictures_has_no_preview(module_lab: Lab) -> None:
    assert contact_sheet(module_lab, "tech") is None


def test_a_sample_of_pairs_shows_winners_and_losers_and_skips_lost_pictures(
    plant: Callable[..., Dataset], module_lab: Lab, drawn: Callable[..., bytes]
) -> None:
    pictures = [module_lab.images.put(drawn(number)) for number in range(20)]
    lost = "0" * 64
    shas = [lost if number % 5 == 0 else pictures[number % 20] for number in range(2 * 60)]
    release = plant(channels=2, sha256=shas).release
    assert shown(pairs_sample(module_lab, release)).size == (6 * 164 + 4, 4 * 94 + 4)
    nothing = plant(channels=2, sha256=[lost] * 120).release
    assert pairs_sample(module_lab, nothing) is None


def test_plots_that_do_not_fit_are_left_out() -> None:
    small, large = "![a](x)", "![b](" + "y" * MOST_BYTES + ")"
    assert within_limit([small, large, small]) == f"{small}\n\n{small}"


def test_the_plots_of_a_model_fit_into_its_metadata(plant: Callable[..., Dataset]) -> None:
    release: Release = plant(channels=2).release
    evaluations = [
        Evaluation(split, f"niche:{niche}", "model", "auc", 0.6, 0.5, 0.7, 100, 5)
        for split in ("future", "new_channels")
        for niche in ("tech", "news")
    ]
    shown(model_plots(release, evaluations))
    assert model_plots(release, []) is None


def test_only_the_newest_materialization_of_a_partition_keeps_pictures(instance: dg.DagsterInstance) -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["tech", "news"]))
    def sheet(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"count": 5, **picture_preview(context, _PICTURE)})

    for partition in ("tech", "news", "tech", "tech"):
        assert dg.materialize([sheet], instance=instance, partition_key=partition).success
    for partition, kept in (("tech", [_PICTURE, REMOVED, REMOVED]), ("news", [_PICTURE])):
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("sheet"), asset_partitions=[partition])
        made = [r.asset_materialization for r in instance.fetch_materializations(wanted, limit=10).records]
        assert [one.metadata[NAME].value for one in made if one is not None] == kept
        assert {one.metadata["count"].value for one in made if one is not None} == {5}
