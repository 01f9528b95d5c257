"""Tests of printed tables. The tables fit a terminal of 80 columns, and leave out figures that were not measured."""

import io
import time
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

from thumblab_cli.printing.evaluation import ceiling_lines, print_evaluation
from thumblab_cli.printing.tables import progress_bars, progress_lines, table, wide_console
from thumblab_pipelines.evaluation.figures import Evaluation

CHANNEL = "channel:UC0123456789abcdefghijkl"


def printed(show: Callable[[Console], None]) -> str:
    """Return the text that the function `show` prints to a console of 80 columns."""
    output = io.StringIO()
    show(Console(file=output, width=80))
    return output.getvalue()


def printed_table(made: Table) -> str:
    return printed(lambda console: console.print(made))


def printed_evaluation(evaluations: list[Evaluation]) -> str:
    return printed(lambda console: print_evaluation(console, evaluations))


@pytest.fixture
def all_figures() -> list[Evaluation]:
    rows = []
    for split in ("future", "new_channels", "adapted"):
        for scorer in ("model", "global", "age", "partial_pooling"):
            rows += [
                Evaluation(split, "all", scorer, "auc", 0.612, 0.55, 0.65, 12_345, 30),
                Evaluation(split, "2x", scorer, "auc", 0.687, 0.61, 0.72, 6_789, 29),
                Evaluation(split, "niche:tech", scorer, "auc", 0.123, None, None, 40, 1),
            ]
        rows += [
            Evaluation(split, CHANNEL, "model", "auc", 0.631, 0.58, 0.69, 900, 1),
            Evaluation(split, CHANNEL, "model", "auc_2x", 0.702, 0.64, 0.77, 500, 1),
            Evaluation(split, "channel:shallow", "model", "auc", 0.4, 0.3, 0.5, 40, 1),
            Evaluation(split, "all", "model", "ece", 0.031, None, None, 12_345, 30),
            Evaluation(split, "all", "model", "ece_if_calibrated", 0.012, 0.006, 0.021, 12_345, 30),
            Evaluation(split, "all", "model", "abstained", 0.42, 0.4, 0.44, 12_345, 30),
            Evaluation(split, "all", "model", "accuracy_decided", 0.67, 0.6, 0.7, 7_000, 30),
        ]
    return rows


def test_the_main_figures_are_printed_and_fit_80_columns(all_figures: list[Evaluation]) -> None:
    text = printed_evaluation(all_figures)
    assert text.count("0.612 [0.550, 0.650]") == 3 * 4
    assert text.count("0.687 [0.610, 0.720]") == 3 * 4
    for name in (
        "the model",
        "the model, not adapted",
        "age only",
        "ridge, also per channel",
        "12,345",
        "6,789",
    ):
        assert name in text
    assert "off by 0.031 on average (ECE, 0.012 by chance alone); 42% too close to call" in " ".join(text.split())
    assert "0.123" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_a_large_channel_has_a_row_as_known_and_a_row_as_adapted(all_figures: list[Evaluation]) -> None:
    lines = printed_evaluation(all_figures).splitlines()
    first = next(i for i, line in enumerate(lines) if CHANNEL.removeprefix("channel:") in line)
    for line, split in zip(lines[first : first + 2], ("known", "adapted"), strict=True):
        assert split in line
        assert "0.631 [0.580, 0.690]" in line
        assert "0.702 [0.640, 0.770]" in line
    assert not any("shallow" in line for line in lines)


def test_the_question_of_one_title_has_a_table_of_its_own(all_figures: list[Evaluation]) -> None:
    asked = [
        Evaluation("new_channels", slice_, scorer, "auc", value, value - 0.02, value + 0.02, 900, 40, "one_title")
        for scorer, value in (("model", 0.531), ("image", 0.522))
        for slice_ in ("residual", "residual 2x", "tied third", "swap")
    ]
    lines = printed_evaluation([*all_figures, *asked]).splitlines()
    assert max(len(line) for line in lines) <= 80
    title = next(i for i, line in enumerate(lines) if "two pictures under one title" in line)
    [model] = [line for line in lines[title:] if "0.531" in line]
    assert model.count("0.531") == 3
    assert "unseen" in model
    assert "0.531" not in "\n".join(lines[:title]), (
        "the figure 0.531 is about one title and must not be in the tables of packages"
    )


def test_the_question_of_one_video_has_a_table_with_a_column_for_each_source(all_figures: list[Evaluation]) -> None:
    asked = [
        Evaluation("future", slice_, scorer, "auc", value, value - 0.02, value + 0.02, pairs, 4, "one_video")
        for slice_, pairs in (("experiment", 1_060), ("changed_thumbnail", 37))
        for scorer, value in (("model", 0.642), ("global", 0.588))
    ]
    text = printed_evaluation([*all_figures, *asked])
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "two pictures of one video" in text
    assert "1,060" in text and "37" in text
    [model] = [line for line in lines if "0.642" in line]
    assert "known" in model and model.count("0.642") == 2
    assert "one video" not in printed_evaluation(all_figures)


def test_values_that_were_not_measured_are_not_printed() -> None:
    auc_only = [Evaluation("future", "all", "model", "auc", 0.6, 0.5, 0.7, 10, 2)]
    auc_only.append(Evaluation("future", "2x", "model", "auc", None, None, None, 0, 0))
    text = printed_evaluation(auc_only)
    assert "0.600 [0.500, 0.700]" in text
    assert "no pairs" in text
    for absent in ("unseen", "adapted", "by channel", "Win probabilities"):
        assert absent not in text


LONG = "/home/somebody/Videos/2026/November/a project with a long name/thumbnails/export"


def test_long_paths_are_folded_so_that_file_names_stay_visible_in_80_columns() -> None:
    """Check a path that is wider than its column. The rest of the path must be on the next line of the same column."""
    files = table("rank", "thumbnail", "score", "closest winner", words=("thumbnail", "closest winner"))
    for letter in "abc":
        files.add_row("1", f"{LONG}/{letter}.jpg", "57", f"{letter}: the title of a winner (its channel)")
    lines = printed_table(files).splitlines()
    assert max(map(len, lines)) <= 80
    start, end = lines[1].index("thumbnail"), lines[1].index("score") - 1
    column = "".join(line[start:end] for line in lines[3:])
    for letter in "abc":
        assert f"{LONG}/{letter}.jpg".replace(" ", "") in column.replace(" ", "")


def test_tables_of_large_numbers_are_complete_in_80_columns() -> None:
    from thumblab_cli.printing.collection import crawl_table, plan_table, quota_table
    from thumblab_cli.printing.library_index import status_table
    from thumblab_pipelines.collection.crawl_plan import NichePlan, Plan
    from thumblab_pipelines.collection.crawl_state import Counted
    from thumblab_pipelines.library.status import IndexStatus
    from thumblab_pipelines.youtube.quota import Balance

    numbers = (1_500, 1_200, 1_300, 199_001, 200_002, 90, 9_530)
    plan = Plan([NichePlan("entertainment", *numbers)], 133.0, 630, 66_710, 7, 40, [])
    niche = IndexStatus(
        "entertainment",
        "r",
        "2026-11-27T03:00:00",
        199_876,
        1_234,
        kind="IDMap,HNSW32",
        recall=0.999,
        bytes=2_345_678_901,
    )
    crawled = Counted(1_512, {"small": 1_413}, 1_311, 1_214, {"kept": 199_115, "short": 9_116}, 198_217)
    for made, shown in (
        (plan_table(plan), ("entertainment", "1,500", "199,001", "200,002", "9,530", "66,710")),
        (status_table([niche]), ("2026-11-27 03:00", "199,876", "1234", "HNSW32", "0.999", "2,345.7")),
        (crawl_table({"entertainment": crawled}), ("1,512", "1,413", "1,311", "1,214", "208,231", "198,217")),
        (
            quota_table([Balance("searches", 10_000, 9_999, True)], "Quota"),
            ("9,999", "0 (YouTube reports it as spent)"),
        ),
    ):
        output = printed_table(made)
        assert max(map(len, output.splitlines())) <= 80
        assert [text for text in shown if text not in output] == []


def test_output_that_is_not_a_terminal_has_unwrapped_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made = table("thumbnail", "winner", words=("thumbnail", "winner"))
    made.add_row(f"{LONG}/a.jpg", f"{LONG}/b.jpg")
    wide_console().print(made)
    assert f"{LONG}/a.jpg {LONG}/b.jpg" in " ".join(capsys.readouterr().out.split())


def test_the_ceiling_is_the_auc_of_the_planted_quality_on_the_pairs_of_the_model() -> None:
    planted = [
        Evaluation("future", "all", "planted", "auc", 0.8304, 0.81, 0.85, 1_288, 30),
        Evaluation("future", "2x", "planted", "auc", 0.93, 0.9, 0.95, 704, 30),
        Evaluation("new_channels", "all", "planted", "auc", 0.79, 0.77, 0.81, 900, 9),
    ]
    assert ceiling_lines(planted, 0.8) == [
        "On these pairs of known channels the planted quality itself reaches an AUC of 0.830 "
        "(0.80 on average over many catalogues)."
    ]
    assert ceiling_lines(planted[1:], 0.8) == []


def test_in_a_log_file_long_work_without_a_report_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_lines(silent_seconds=0.05) as listener:
        listener("training", 1, 30)
        time.sleep(0.3)
        listener("evaluating", 0, 1)
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("training: 1 of 30")
    assert lines[-1].startswith("evaluating: 0 of 1; still working after ")
    time.sleep(0.1)
    assert capsys.readouterr().err == "", "nothing is printed after the end of the work"


def test_work_of_a_few_seconds_prints_no_progress_into_a_log_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(Console(file=io.StringIO())) as listener:
        listener("training", 0, 30)
        listener("training", 30, 30)
    assert capsys.readouterr().err == ""
