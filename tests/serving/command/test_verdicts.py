"""Test what `thumblab score` prints for a model without proven skill, and for near-identical pictures."""

import io
import json

import pytest
from PIL import Image

from thumblab_cli.commands.score import win_probabilities
from thumblab_core.settings import settings

ASKED = ("--title", "I tested every phone under $200", "--niche", "tech")


@pytest.fixture(scope="module")
def unproven(unproven_lab):
    """The environment variables of a lab whose model's skill is not proven."""
    return {"THUMBLAB_DATA_DIR": str(unproven_lab.settings.data_dir)}


@pytest.fixture
def copied(files, tmp_path):
    """The paths of three pictures. The third picture is a copy of the first picture, compressed again as JPEG."""
    copy = tmp_path / "copy.jpg"
    Image.open(io.BytesIO(files[0].read_bytes())).save(copy, quality=60)
    return [*files[:2], copy]


def test_without_proven_skill_the_table_has_evidence_and_neither_scores_nor_chances(within, unproven, files):
    done = within(*files, *ASKED, **unproven)
    assert done.exit_code == 0, done.stderr
    header = next(line for line in done.stdout.splitlines() if "thumbnail" in line)
    assert "evidence" in header and "wins" not in header and "score" not in header
    assert "No skill here: ordered by evidence. The model names no winner, see below." in done.stdout
    assert "Degraded: on unseen channels this model was not shown to be better than chance" in done.stdout
    assert "this order was not shown to predict views" in done.stdout
    assert "against the second" not in done.stdout
    assert "is first" not in done.stdout
    assert done.stdout.count("Why: unknown: the model was not shown to order such pictures better than chance") == 1


def test_json_says_by_what_the_ranks_are_ordered(within, unproven, files):
    answer = json.loads(within(*files, *ASKED, "--json", **unproven).stdout)
    assert (answer["verdict"], answer["winner"], answer["ordered_by"]) == ("no_skill", None, "evidence")
    assert all(thumbnail["evidence_mean"] is not None for thumbnail in answer["thumbnails"])
    assert answer["skill"]["auc"] == 0.55


def test_without_a_library_the_command_says_that_nothing_is_ordered(within, unproven, files):
    done = within(*files, *ASKED[:-1], "beauty", **unproven)
    assert "No skill here: not ordered." in done.stdout
    assert "Degraded: the thumbnails are not ordered" in done.stdout


def test_a_single_picture_is_not_called_winner_without_proven_skill(within, unproven, files):
    done = within(files[0], *ASKED, **unproven)
    assert "Only one could be read." in done.stdout


def test_near_identical_pictures_are_printed_with_their_common_chance(within, service, copied):
    done = within(*copied, *ASKED)
    by_id = {t["id"]: t for t in json.loads(within(*copied, *ASKED, "--json").stdout)["thumbnails"]}
    share = by_id[str(copied[0])]["win_probability"]
    shown = f"{int(100 * share + 0.5)}% (group {int(200 * share + 0.5)}%)"
    assert done.stdout.count(shown) == 2
    assert done.stdout.count("  why: Compared with ") == 3
    assert "are near-identical: they count as one candidate" in done.stdout
    twins = within(copied[0], copied[2], *ASKED).stdout
    assert f"It stands for its near-identical group: {copied[0]}, {copied[2]}." in twins


def test_a_plan_uses_the_chance_of_the_whole_group_and_needs_proven_skill(
    within, unproven, environment, copied, monkeypatch, capsys
):
    def chances(**chosen):
        for name, value in (environment | chosen).items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return win_probabilities(settings(), [str(path) for path in copied], ASKED[1], "tech", None)

    (first, second, copy), proven = chances()
    assert proven
    assert first == copy
    assert first + second == pytest.approx(1)
    assert capsys.readouterr().err == ""
    assert chances(**unproven) == ([None] * 3, False)
    assert capsys.readouterr().err.startswith("note: the model was not shown to order such pictures better than chance")
