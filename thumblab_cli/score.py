"""`thumblab score`: rank thumbnails for a title in a niche, in this process or through a running service."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.table import Table

    from thumblab_core.settings import Settings
    from thumblab_serving.intake import Source
    from thumblab_serving.schemas import ScoreAnswer, ScoreForm, ThumbnailScore


@click.command("score")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--title", required=True, help="The title of the video.")
@click.option("--niche", required=True, type=click.Choice(NICHES), help="The niche to compare with.")
@click.option(
    "--channel", "channel_id", metavar="ID", help="Your channel: its history adapts the answer, if it is known."
)
@click.option("--json", "as_json", is_flag=True, help="Print the service's JSON answer.")
def command(images: tuple[str, ...], title: str, niche: str, channel_id: str | None, as_json: bool) -> None:
    """Rank thumbnails: files, or URLs of allowed image hosts.

    Sub-scores that are weak in the niche are listed with what was seen and what to change; --json has all of them with their
    evidence.

    Scores in this process, or through the service at THUMBLAB_SERVING_URL when that is set.
    """
    import thumblab_core.settings

    settings = thumblab_core.settings.settings()
    sources = [_source(image) for image in dict.fromkeys(images)]
    asked = _form(title, niche, channel_id)
    answer = (_over_http if settings.serving_url else _here)(settings, sources, asked)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        _show(answer)
    if answer.verdict is None:
        raise LabError("none of the thumbnails could be read; each is listed with its reason.")


def _source(image: str) -> "Source":
    from thumblab_core.images import MAX_BYTES
    from thumblab_serving.intake import Source

    if image.startswith(("http://", "https://")):
        return Source(image, url=image)
    try:
        with Path(image).open("rb") as file:
            return Source(image, data=file.read(MAX_BYTES + 1))
    except OSError as error:
        return Source(image, error=f"the file cannot be read ({error.strerror})")


def _form(title: str, niche: str, channel_id: str | None) -> "ScoreForm":
    from pydantic import ValidationError

    from thumblab_core.niches import Niche
    from thumblab_serving.problems import sentences
    from thumblab_serving.schemas import ScoreForm

    try:
        return ScoreForm(title=title, category=Niche(niche), channel_id=channel_id)
    except ValidationError as error:
        raise LabError(sentences(error)) from None


def _here(settings: "Settings", sources: Sequence["Source"], asked: "ScoreForm") -> "ScoreAnswer":
    from thumblab_serving.engine import Engine
    from thumblab_serving.schemas import MAX_THUMBNAILS

    if len(sources) > MAX_THUMBNAILS:
        raise LabError(f"at most {MAX_THUMBNAILS} thumbnails are ranked at a time; {len(sources)} were given.")
    engine = Engine(settings)
    try:
        return engine.score(sources, asked)
    finally:
        engine.close()


def _over_http(settings: "Settings", sources: Sequence["Source"], asked: "ScoreForm") -> "ScoreAnswer":
    import base64

    import httpx
    from pydantic import ValidationError

    from thumblab_core.api_key import api_key
    from thumblab_serving.schemas import ScoreAnswer, ThumbnailScore

    sendable = [source for source in sources if source.error is None]
    if not sendable:
        raise LabError("; ".join(f"{source.id}: {source.error}" for source in sources))
    url = f"{settings.serving_url}".rstrip("/") + "/v1/score"
    thumbnails = [
        {"id": s.id, "url": s.url} if s.url else {"id": s.id, "image_base64": base64.b64encode(s.data or b"").decode()}
        for s in sendable
    ]
    body = {**asked.model_dump(mode="json", exclude_none=True), "thumbnails": thumbnails}
    try:
        reply = httpx.post(url, json=body, headers={"X-API-Key": api_key(settings)}, timeout=120, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LabError(
            f"the service at {settings.serving_url} did not answer ({error}); "
            "start it with `thumblab up`, or unset THUMBLAB_SERVING_URL to score in this process."
        ) from None
    try:
        if reply.status_code != httpx.codes.OK:
            raise LabError(f"the service refused: {reply.json()['detail']}")
        answer = ScoreAnswer.model_validate(reply.json())
    except (ValueError, KeyError, TypeError, ValidationError):
        raise LabError(f"{url} answered {reply.status_code}, but not as this service does; check the URL.") from None
    answered = {thumbnail.id: thumbnail for thumbnail in answer.thumbnails}
    merged = [answered.get(s.id) or ThumbnailScore(id=s.id, error=s.error) for s in sources]
    return answer.model_copy(update={"thumbnails": merged})


def _show(answer: "ScoreAnswer") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    console.print(_table(answer))
    if answer.verdict is not None:
        console.print(_verdict(answer))
    if answer.channel is not None and answer.channel.adapted:
        console.print(f"Adapted to {answer.channel.videos} videos of {answer.channel.channel_id}.", highlight=False)
    for thumbnail in answer.thumbnails:
        weak = _weaknesses(thumbnail, answer.niche)
        if weak:
            console.print(f"[bold]{escape(thumbnail.id)}[/]")
        for line in weak:
            console.print(f"  {line}", markup=False, highlight=False)
    for sentence in answer.degraded:
        console.print(f"[yellow]Degraded:[/] {escape(sentence)}")
    console.print(f"[dim]model {answer.releases.model} · index {answer.releases.index or 'none'}[/]")


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
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("rank", "thumbnail", "score", "wins", "engagement", "similarity", "closest winner"):
        table.add_column(name, justify="left" if name in ("thumbnail", "closest winner") else "right")
    for thumbnail in sorted(answer.thumbnails, key=lambda t: t.rank or len(answer.thumbnails) + 1):
        cells = ["—"] * 4 + [f"[red]{escape(thumbnail.error)}[/]"] if thumbnail.error else _cells(thumbnail)
        table.add_row(str(thumbnail.rank or "—"), escape(thumbnail.id), *cells)
    return table


def _cells(thumbnail: "ThumbnailScore") -> list[str]:
    from rich.markup import escape

    from thumblab_core.confidence import percent

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

    from thumblab_core.confidence import percent
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
