"""Print the answer of `thumblab score` as text for people."""

from rich.markup import escape
from rich.table import Table

from thumblab_cli.printing.tables import table, wide_console
from thumblab_core.ranking.confidence import percent
from thumblab_serving.schemas.answer import ScoreAnswer, ThumbnailScore, Verdict

_COLUMNS = ("rank", "thumbnail", "score", "wins", "engagement", "similarity", "closest winner")


def print_answer(answer: ScoreAnswer, answered_by: str, note: str | None) -> None:
    """Print a table of the candidates, the verdict, advice for each candidate, and what the answer lacks.

    `answered_by` names the service or process that gave the answer. `note` is a warning about the videos in the
    library, for example that they are synthetic. None stands for no warning.
    """
    console = wide_console()
    console.print(_table(answer))
    if answer.verdict is not None:
        console.print(_verdict(answer), soft_wrap=True)
    # If the model was not shown to be better than chance, `degraded` says how good it is.
    if answer.skill is not None and (answer.skill.low or 0.0) > 0.5:
        console.print(answer.skill.summary, highlight=False, soft_wrap=True)
    if answer.channel is not None and answer.channel.adapted:
        console.print(f"Adapted to {answer.channel.videos} videos of {answer.channel.channel_id}.", highlight=False)
    for thumbnail in answer.thumbnails:
        lines = _weaknesses(thumbnail, answer.niche)
        if lines:
            console.print(f"[bold]{escape(thumbnail.id)}[/]", highlight=False, soft_wrap=True)
        # A line may quote text from the picture. Square brackets in it are printed, and not read as markup.
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    for sentence in answer.degraded:
        console.print(f"[yellow]Degraded:[/] {escape(sentence)}", soft_wrap=True)
    if note is not None:
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    releases = f"model {answer.releases.model} · index {answer.releases.index or 'none'}"
    console.print(f"[dim]{releases} · answered by {escape(answered_by)}[/]", highlight=False, soft_wrap=True)


def _weaknesses(thumbnail: ThumbnailScore, niche: str) -> list[str]:
    """Return a line for each sub-score that has a fix. A fix is advice on what to change in the thumbnail."""
    lines = []
    for name, sub_score in thumbnail.sub_scores.items():
        if sub_score.fix is not None and sub_score.value is not None:
            percentile = sub_score.niche_percentile
            place = "" if percentile is None else f" (above {percentile:.0f} % of {niche})"
            lines.append(f"{name} {100 * sub_score.value:.0f} of 100{place}: {sub_score.reason}; {sub_score.fix}")
    return lines


def _table(answer: ScoreAnswer) -> Table:
    """Return a table with a row for each candidate, the best first. Candidates without a rank come last."""
    rows = table(*_COLUMNS, words=("thumbnail", "closest winner"))
    for thumbnail in sorted(answer.thumbnails, key=lambda t: t.rank or len(answer.thumbnails) + 1):
        cells = ["—"] * 4 + [f"[red]{escape(thumbnail.error)}[/]"] if thumbnail.error else _cells(thumbnail)
        rows.add_row(str(thumbnail.rank or "—"), escape(thumbnail.id), *cells)
    return rows


def _cells(thumbnail: ThumbnailScore) -> list[str]:
    engagement = thumbnail.predicted_engagement
    nearest = thumbnail.neighbours[0] if thumbnail.neighbours else None
    return [
        "—" if thumbnail.score is None else f"{thumbnail.score:.0f}",
        "—" if thumbnail.win_probability is None else f"{percent(thumbnail.win_probability)}%",
        "—" if engagement is None else f"{engagement.value:.2f}",
        f"{thumbnail.similarity_score or 0:.0f} ({thumbnail.similarity_source})",
        "—" if nearest is None or not nearest.winner else escape(f"{nearest.title} ({nearest.channel})"),
    ]


def _verdict(answer: ScoreAnswer) -> str:
    chance = f"{percent(answer.confidence or 0)}% against the second"
    words = {
        Verdict.CLEAR: f"wins clearly ({chance})",
        Verdict.LEANING: f"is ahead, not by much ({chance})",
        Verdict.TOO_CLOSE_TO_CALL: f"is first, but it is too close to call ({chance})",
        Verdict.ONLY_ONE: "is the only one that could be ranked",
        Verdict.NO_VERDICT: "No verdict: too few of them are like any picture that the model was trained on",
    }
    winner = "" if answer.winner is None else f"[bold green]{escape(answer.winner)}[/] "
    return f"{winner}{words[answer.verdict or Verdict.ONLY_ONE]}."
