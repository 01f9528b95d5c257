"""`thumblab score`: rank thumbnails for a title in a niche, in this process or through a running service."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError
from thumblab_core.library_note import read_note
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from collections.abc import Sequence

    from rich.table import Table

    from thumblab_core.settings import Settings
    from thumblab_serving.schemas import ScoreAnswer, ScoreForm, ThumbnailScore
    from thumblab_serving.scoring.intake import Source


@click.command("score")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--title", required=True, help="The title of the video.")
@click.option("--niche", required=True, type=click.Choice(NICHES), help="The niche to compare with.")
@click.option(
    "--channel", "channel_id", metavar="ID|URL", help="Your channel: its history adapts the answer, if it is known."
)
@click.option("--local", is_flag=True, help="Score in this process, also while a service of this lab runs.")
@demo_option
@click.option("--json", "as_json", is_flag=True, help="Print the service's JSON answer.")
def command(
    images: tuple[str, ...],
    title: str,
    niche: str,
    channel_id: str | None,
    local: bool,
    chosen: "Settings",
    as_json: bool,
) -> None:
    """Rank thumbnails: files, or URLs of allowed image hosts.

    Sub-scores that are weak in the niche are listed with what was seen and what to change; --json has all of them with their
    evidence.

    Asks the service at THUMBLAB_SERVING_URL when that is set, else the one of this lab's `thumblab up`. Without one, it
    scores in this process, which has to load the encoders first. It says which of them answered.
    """
    sources = [_source(image) for image in dict.fromkeys(images)]
    asked = _form(title, niche, channel_id)
    answer, answered_by = _answer(chosen, sources, asked, local)
    if not as_json:
        _show(
            answer,
            answered_by,
            _note(chosen.serving_url) if chosen.serving_url and not local else read_note(chosen.data_dir),
        )
    else:
        click.echo(answer.model_dump_json(indent=2))
        if answer.verdict is not None:
            click.echo(f"Answered by {answered_by}.", err=True)
    if answer.verdict is None:
        raise LabError("none of the thumbnails could be read; each is listed with its reason.")


def _answer(
    chosen: "Settings", sources: "Sequence[Source]", asked: "ScoreForm", local: bool
) -> "tuple[ScoreAnswer, str]":
    """The answer, and who gave it."""
    from thumblab_core.running import running_lab

    running = None if local else running_lab(chosen.data_dir)
    if chosen.serving_url and not local:
        try:
            return _over_http(chosen.serving_url, chosen, sources, asked), f"the service at {chosen.serving_url}"
        except _NoAnswerError as error:
            raise LabError(f"{error}; mend it, or give --local to score in this process") from None
    if running is not None:
        try:
            return _over_http(running.scoring, chosen, sources, asked), f"the service at {running.scoring}"
        except _NoAnswerError as error:
            click.echo(f"{error}; scoring in this process instead", err=True)
    return _here(chosen, sources, asked), f"this process, for the lab in {chosen.data_dir}"


class _NoAnswerError(LabError):
    """The service does not answer the question; another one, or this process, may."""


def _source(image: str) -> "Source":
    from thumblab_core.images import ImageError, read_file
    from thumblab_serving.scoring.intake import Source

    if image.startswith(("http://", "https://")):
        return Source(image, url=image)
    name = os.fsencode(image).decode(errors="backslashreplace")  # a file name is bytes, and JSON has no place for them
    try:
        return Source(name, data=read_file(Path(image)))
    except ImageError as error:
        return Source(name, error=str(error))
    except OSError as error:
        return Source(name, error=f"the file cannot be read ({error.strerror})")


def _form(title: str, niche: str, channel_id: str | None) -> "ScoreForm":
    from pydantic import ValidationError

    from thumblab_core.niches import Niche
    from thumblab_serving.http.problems import sentences
    from thumblab_serving.schemas import ScoreForm

    try:
        return ScoreForm(title=title, category=Niche(niche), channel_id=channel_id)
    except ValidationError as error:
        raise LabError(sentences(error)) from None


def _here(settings: "Settings", sources: "Sequence[Source]", asked: "ScoreForm") -> "ScoreAnswer":
    from thumblab_serving.schemas import MAX_THUMBNAILS
    from thumblab_serving.scoring.engine import Engine

    if len(sources) > MAX_THUMBNAILS:
        raise LabError(f"at most {MAX_THUMBNAILS} thumbnails are ranked at a time; {len(sources)} were given.")
    engine = Engine(settings)
    try:
        return engine.score(sources, asked)
    finally:
        engine.close()


def _over_http(url: str, chosen: "Settings", sources: "Sequence[Source]", asked: "ScoreForm") -> "ScoreAnswer":
    """What the service answers. Raises `LabError` for a request that is at fault, `_NoAnswerError` for all else."""
    import base64

    import httpx
    from pydantic import ValidationError

    from thumblab_core.api_key import kept_key
    from thumblab_serving.schemas import ScoreAnswer, ThumbnailScore

    key = kept_key(chosen)
    if key is None:  # it is another lab's service: a key that is made now is none of its
        raise LabError(
            f"the lab in {chosen.data_dir} has no API key; set THUMBLAB_API_KEY to that of the service at {url}"
        )
    sendable = [source for source in sources if source.error is None]
    if not sendable:
        raise LabError("; ".join(f"{source.id}: {source.error}" for source in sources))
    thumbnails = [
        {"id": s.id, "url": s.url} if s.url else {"id": s.id, "image_base64": base64.b64encode(s.data or b"").decode()}
        for s in sendable
    ]
    body = {**asked.model_dump(mode="json", exclude_none=True), "thumbnails": thumbnails}
    place = f"{url.rstrip('/')}/v1/score"
    try:
        reply = httpx.post(place, json=body, headers={"X-API-Key": key}, timeout=120, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NoAnswerError(f"the service at {url} did not answer ({error or type(error).__name__})") from None
    try:
        if reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise LabError(f"the service refused: {reply.json()['detail']}")
        if reply.status_code != httpx.codes.OK:
            raise _NoAnswerError(f"the service at {url} refused: {reply.json()['detail']}")
        answer = ScoreAnswer.model_validate(reply.json())
    except (ValueError, KeyError, TypeError, ValidationError):
        raise _NoAnswerError(f"{place} answered {reply.status_code}, but not as this service does") from None
    answered = {thumbnail.id: thumbnail for thumbnail in answer.thumbnails}
    merged = [answered.get(s.id) or ThumbnailScore(id=s.id, error=s.error) for s in sources]
    return answer.model_copy(update={"thumbnails": merged})


def _note(url: str) -> str | None:
    """What the service says of its library; None where there is nothing to say."""
    import httpx

    try:
        note = (
            httpx.get(f"{url.rstrip('/')}/health", timeout=30, trust_env=False)
            .raise_for_status()
            .json()
            .get("library_note")
        )
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return f"the service did not say what its library is made of ({error or type(error).__name__})"
    return None if note is None else str(note)


def _show(answer: "ScoreAnswer", answered_by: str, note: str | None) -> None:
    from rich.markup import escape

    from thumblab_cli.printing.tables import whole_console

    console = whole_console()
    console.print(_table(answer))
    if answer.verdict is not None:
        console.print(_verdict(answer), soft_wrap=True)
    if answer.channel is not None and answer.channel.adapted:
        console.print(f"Adapted to {answer.channel.videos} videos of {answer.channel.channel_id}.", highlight=False)
    for thumbnail in answer.thumbnails:
        weak = _weaknesses(thumbnail, answer.niche)
        if weak:
            console.print(f"[bold]{escape(thumbnail.id)}[/]", highlight=False, soft_wrap=True)
        for line in weak:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    for sentence in answer.degraded:
        console.print(f"[yellow]Degraded:[/] {escape(sentence)}", soft_wrap=True)
    if note is not None:
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    releases = f"model {answer.releases.model} · index {answer.releases.index or 'none'}"
    console.print(f"[dim]{releases} · answered by {escape(answered_by)}[/]", highlight=False, soft_wrap=True)


def _weaknesses(thumbnail: "ThumbnailScore", niche: str) -> list[str]:
    """A line for each sub-score with something to mend. It may quote what is written in the picture: no markup."""
    found = []
    for name, sub in thumbnail.sub_scores.items():
        if sub.fix is not None and sub.value is not None:
            place = "" if sub.niche_percentile is None else f" (above {sub.niche_percentile:.0f} % of {niche})"
            found.append(f"{name} {100 * sub.value:.0f} of 100{place}: {sub.reason}; {sub.fix}")
    return found


def _table(answer: "ScoreAnswer") -> "Table":
    from rich.markup import escape

    from thumblab_cli.printing.tables import table

    columns = ("rank", "thumbnail", "score", "wins", "engagement", "similarity", "closest winner")
    made = table(*columns, words=("thumbnail", "closest winner"))
    for thumbnail in sorted(answer.thumbnails, key=lambda t: t.rank or len(answer.thumbnails) + 1):
        cells = ["—"] * 4 + [f"[red]{escape(thumbnail.error)}[/]"] if thumbnail.error else _cells(thumbnail)
        made.add_row(str(thumbnail.rank or "—"), escape(thumbnail.id), *cells)
    return made


def _cells(thumbnail: "ThumbnailScore") -> list[str]:
    from rich.markup import escape

    from thumblab_core.ranking.confidence import percent

    engagement = thumbnail.predicted_engagement
    nearest = thumbnail.neighbours[0] if thumbnail.neighbours else None
    return [
        "—" if thumbnail.score is None else f"{thumbnail.score:.0f}",
        "—" if thumbnail.win_probability is None else f"{percent(thumbnail.win_probability)}%",
        "—" if engagement is None else f"{engagement.value:.2f}",
        f"{thumbnail.similarity_score or 0:.0f} ({thumbnail.similarity_source})",
        "—" if nearest is None or not nearest.winner else escape(f"{nearest.title} ({nearest.channel})"),
    ]


def _verdict(answer: "ScoreAnswer") -> str:
    from rich.markup import escape

    from thumblab_core.ranking.confidence import percent
    from thumblab_serving.schemas import Verdict

    chance = f"{percent(answer.confidence or 0)}% against the second"
    words = {
        Verdict.CLEAR: f"wins clearly ({chance})",
        Verdict.LEANING: f"is ahead, not by much ({chance})",
        Verdict.TOO_CLOSE_TO_CALL: f"is first, but it is too close to call ({chance})",
        Verdict.ONLY_ONE: "is the only one that could be ranked",
        Verdict.NO_VERDICT: "No verdict: too few of them are like anything that the model has learnt",
    }
    winner = "" if answer.winner is None else f"[bold green]{escape(answer.winner)}[/] "
    return f"{winner}{words[answer.verdict or Verdict.ONLY_ONE]}."
