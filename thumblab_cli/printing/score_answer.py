"""Print the answer of `thumblab score` as text for people."""

from rich.markup import escape
from rich.table import Table

from thumblab_cli.printing.tables import table, wide_console
from thumblab_cli.which_lab import on_this_lab
from thumblab_core.ranking.confidence import percent
from thumblab_serving.schemas.answer import ScoreAnswer, ThumbnailScore
from thumblab_serving.schemas.verdict import OrderedBy, Verdict

_BY_MODEL = ("score", "wins")
_BY_EVIDENCE = ("evidence",)
_OTHERS = ("engagement", "similarity", "closest winner")


def print_answer(answer: ScoreAnswer, answered_by: str, note: str | None) -> None:
    """Print a table of the candidates and the verdict. Print for each candidate the reasons for its score, and advice.
    Print what the answer lacks.

    `answered_by` is the name of the service or process that gave the answer. `note` is a warning about the library's
    videos, for example that they are synthetic, or None.
    """
    console = wide_console()
    console.print(_table(answer))
    if answer.verdict is not None:
        console.print(_verdict(answer), soft_wrap=True)
    # With the verdict NO_SKILL, do not print the skill, because a sentence in `degraded` says how good the model is.
    if answer.verdict is not Verdict.NO_SKILL and answer.skill is not None and (answer.skill.low or 0.0) > 0.5:
        console.print(answer.skill.summary, highlight=False, soft_wrap=True)
    if answer.channel is not None and answer.channel.adapted:
        console.print(f"Adapted to {answer.channel.videos} videos of {answer.channel.channel_id}.", highlight=False)
    for line in _common_why(answer):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for thumbnail in answer.thumbnails:
        lines = _why(thumbnail) + _weaknesses(thumbnail, answer.niche)
        if lines:
            console.print(f"[bold]{escape(thumbnail.id)}[/]", highlight=False, soft_wrap=True)
        # A line may quote text from the picture. Rich must print its square brackets and not read them as markup.
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    for line in _seen(answer):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for sentence in answer.degraded:
        console.print(f"[yellow]Degraded:[/] {escape(on_this_lab(sentence))}", soft_wrap=True)
    if note is not None:
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    releases = f"model {answer.releases.model} · index {answer.releases.index or 'none'}"
    console.print(f"[dim]{releases} · answered by {escape(answered_by)}[/]", highlight=False, soft_wrap=True)


def _seen(answer: ScoreAnswer) -> list[str]:
    """Return a line for each candidate, with the people who are seen on it.

    If somebody is seen, add a line with the figures of each person on the channel's thumbnails. Also add a note on what
    these figures do not show.
    """
    if answer.people is None:
        return []
    lines = []
    for thumbnail in answer.people.thumbnails:
        people = [face.person for face in thumbnail.faces or ()]
        names = [f"{person.name} (match {person.score:.2f})" for person in people if person is not None]
        nobody = people.count(None)
        if nobody:
            names.append(f"{nobody} {'face' if nobody == 1 else 'faces'} of people without a name")
        unread = "could not be searched" if thumbnail.faces is None else "nobody"
        lines.append(f"Seen on {thumbnail.id}: {', '.join(names) or unread}")
    for each in answer.people.people:
        times = ""
        if each.views_factor is not None:
            times = f"; views x {each.views_factor:.2f} ({each.low:.2f} to {each.high:.2f})"
        lines.append(f"{each.name} is on {percent(each.share)} % of {each.searched} thumbnails of the channel{times}")
    return [*lines, answer.people.note] if answer.people.people else lines


def _common_why(answer: ScoreAnswer) -> list[str]:
    """If no candidate's score is explained, return a line for each reason. Otherwise return no line."""
    why = [thumbnail.why for thumbnail in answer.thumbnails if thumbnail.why is not None]
    if not why or any(one.unknown is None for one in why):
        return []
    return [f"Why: {summary[0].lower()}{summary[1:]}" for summary in dict.fromkeys(one.summary for one in why)]


def _why(thumbnail: ThumbnailScore) -> list[str]:
    """Return a line with the reasons for a candidate's score. If the reasons are unknown, return no line."""
    return [] if thumbnail.why is None or thumbnail.why.unknown is not None else [f"why: {thumbnail.why.summary}"]


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
    """Return a table with a row for each candidate, the best first. Candidates without a rank come last.

    If the model has no proven skill, the table shows the evidence in place of scores and win probabilities.
    """
    columns = (*(_BY_EVIDENCE if _has_no_skill(answer) else _BY_MODEL), *_OTHERS)
    rows = table("rank", "thumbnail", *columns, words=("thumbnail", "closest winner"))
    for thumbnail in sorted(answer.thumbnails, key=lambda t: t.rank or len(answer.thumbnails) + 1):
        if thumbnail.error:
            cells = ["—"] * (len(columns) - 1) + [f"[red]{escape(thumbnail.error)}[/]"]
        else:
            cells = _cells(thumbnail, answer)
        rows.add_row(str(thumbnail.rank or "—"), escape(thumbnail.id), *cells)
    return rows


def _has_no_skill(answer: ScoreAnswer) -> bool:
    return answer.verdict is Verdict.NO_SKILL or answer.ordered_by is OrderedBy.EVIDENCE


def _cells(thumbnail: ThumbnailScore, answer: ScoreAnswer) -> list[str]:
    engagement = thumbnail.predicted_engagement
    nearest = thumbnail.neighbours[0] if thumbnail.neighbours else None
    if _has_no_skill(answer):
        order = ["—" if thumbnail.evidence_mean is None else f"{thumbnail.evidence_mean:.0f}"]
    else:
        order = ["—" if thumbnail.score is None else f"{thumbnail.score:.0f}", _chance(thumbnail, answer)]
    return [
        *order,
        "—" if engagement is None else f"{engagement.value:.2f}",
        f"{thumbnail.similarity_score or 0:.0f} ({thumbnail.similarity_source})",
        "—" if nearest is None or not nearest.winner else escape(f"{nearest.title} ({nearest.channel})"),
    ]


def _chance(thumbnail: ThumbnailScore, answer: ScoreAnswer) -> str:
    """Return the win probability as text. For a member of a near-identical group, the text also has the win probability
    of the whole group.
    """
    if thumbnail.win_probability is None:
        return "—"
    own = f"{percent(thumbnail.win_probability)}%"
    group = _group_of(thumbnail.id, answer)
    together = sum(t.win_probability or 0.0 for t in answer.thumbnails if t.id in group)
    return f"{own} (group {percent(together)}%)" if group else own


def _group_of(name: str | None, answer: ScoreAnswer) -> list[str]:
    """Return the near-identical group of a candidate. The result is empty if the candidate is in no group."""
    return next((group for group in answer.near_identical if name in group), [])


def _verdict(answer: ScoreAnswer) -> str:
    if answer.verdict is Verdict.NO_SKILL:
        order = "ordered by evidence" if answer.ordered_by is OrderedBy.EVIDENCE else "not ordered"
        return f"[bold yellow]No skill here: {order}.[/] The model names no winner, see below."
    chance = f"{percent(answer.confidence or 0)}% against the second"
    words = {
        Verdict.CLEAR: f"wins clearly ({chance})",
        Verdict.LEANING: f"is ahead, not by much ({chance})",
        Verdict.TOO_CLOSE_TO_CALL: f"is first, but it is too close to call ({chance})",
        Verdict.ONLY_ONE: "is the only one that could be ranked" if answer.winner else "Only one could be read",
        Verdict.NO_VERDICT: "No verdict: too few candidates are similar to the pictures that the model was trained on",
    }
    winner = "" if answer.winner is None else f"[bold green]{escape(answer.winner)}[/] "
    group = _group_of(answer.winner, answer)
    won = f" It stands for its near-identical group: {escape(', '.join(group))}." if group else ""
    return f"{winner}{words[answer.verdict or Verdict.ONLY_ONE]}.{won}"
