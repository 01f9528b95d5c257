"""`thumblab score`: rank thumbnails for a title in a niche. A running service or this process computes the answer."""

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.niche_type import NICHE_OF_SERVICE, known_niches
from thumblab_cli.scoring.channel_names import ChannelIds, suggest_channel
from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError
from thumblab_core.library_note import read_note

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from collections.abc import Callable, Iterator, Sequence

    from thumblab_cli.scoring.score_requests import ScoreRequest
    from thumblab_core.settings import Settings
    from thumblab_serving.schemas.answer import ScoreAnswer
    from thumblab_serving.schemas.request import ScoreForm
    from thumblab_serving.scoring.intake import Source

_MOST_WAITS, _LONGEST_WAIT_S = 10, 60.0
"""How often the command waits for a busy service, and how many seconds one wait takes at most."""


@click.command("score")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...|FOLDER|TABLE.csv")
@click.option("--title", "titles", multiple=True, help="The title of the video. Can be given several times.")
@click.option(
    "--niche", "niches", multiple=True, type=NICHE_OF_SERVICE, help="A niche to compare with. Can be given repeatedly."
)
@click.option(
    "--channel",
    metavar="ID|TITLE|@HANDLE|LINK",
    help="Your channel. If the lab has an adapter of the channel, the answer uses it. TITLE is the exact title that "
    "`thumblab channel list` shows.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The CSV file for the results of a folder or a table.")
@click.option("--again", is_flag=True, help="With --out: repeat the requests that had an error.")
@click.option("--local", is_flag=True, help="Score in this process, even while a service of this lab runs.")
@demo_option
@click.option("--json", "as_json", is_flag=True, help="Print the service's JSON answer.")
def command(images: tuple[str, ...], chosen: "Settings", local: bool, as_json: bool, **asked: Any) -> None:
    """Rank thumbnails. Each IMAGE is a file, or a URL on an allowed image host.

    A winner is named only if evaluations have proven that the model orders pictures better than chance. Otherwise the
    thumbnails are ordered by evidence, which is the mean of their percentiles among the thumbnails of the niche.

    The output also lists the sub-scores that are low for the niche, what the lab saw, and what to change. --json prints
    all sub-scores with their evidence. With several titles, each combination of a title and a thumbnail is ranked.

    With --out, the command scores all pictures of a FOLDER or a TABLE. If the command was stopped, run it again to
    continue. The pictures of a subfolder, or of a `group` in the table, are ranked against each other. All other
    pictures are scored alone. The table has a column `thumbnail` (a path or URL), and may have title, niche, channel
    and group. The exit status is 0 if every row was used and every picture was scored, now or in an earlier call.
    Otherwise the exit status is 1.

    If THUMBLAB_SERVING_URL is set, the service at that URL answers. With --demo, this variable is read only from the
    environment, and not from .env. If the variable is not set, the service of this lab's `thumblab up` answers. If that
    service does not run, this process answers, and has to load the encoders first. The output says who answered.
    """
    titles, niches, channel = asked["titles"], asked["niches"], asked["channel"]
    is_many = len(images) == 1 and (Path(images[0]).is_dir() or images[0].lower().endswith(".csv"))
    if is_many != (asked["out"] is not None):
        raise LabError("--out needs one FOLDER or one TABLE.csv, and a FOLDER or a TABLE.csv needs --out")
    if is_many:
        from thumblab_cli.scoring.score_many import score_path
        from thumblab_cli.scoring.score_requests import Defaults

        with _asking(chosen, local) as ask:
            given = Defaults(titles, niches, channel, known_niches(chosen))
            whole = score_path(Path(images[0]), given, asked["out"], asked["again"], ask)
        if not whole:
            raise click.exceptions.Exit(1)
        return
    if not titles or not niches:
        raise click.UsageError(f"Missing option '--{'niche' if titles else 'title'}'.")
    sources = _sources(images)
    form = _form(titles, niches, None if channel is None else ChannelIds(chosen).of(channel))
    answer, answered_by = _answer(chosen, sources, form, local)
    if channel is not None and answer.channel is not None and not answer.channel.adapted:
        suggest_channel(chosen, channel)
    if not as_json:
        from thumblab_cli.printing.packages import print_packages
        from thumblab_cli.printing.score_answer import print_answer

        service = None if local else chosen.serving_url
        note = _service_note(service) if service else read_note(chosen.data_dir)
        for of_niche in (answer, *answer.other_niches):
            if answer.other_niches:
                click.echo(f"In {of_niche.niche}:")
            if of_niche.packages is not None:
                print_packages(of_niche.packages)
                click.echo(f"The thumbnails under the title {titles[0]!r}:")
            print_answer(of_niche, answered_by, note)
    else:
        click.echo(answer.model_dump_json(indent=2))
        if answer.verdict is not None:
            click.echo(f"Answered by {answered_by}.", err=True)
    if answer.verdict is None:
        raise LabError("none of the thumbnails could be read; the list above gives the reason for each.")


def win_probabilities(
    settings: "Settings", images: "Sequence[str]", title: str, niche: str, channel_id: str | None
) -> tuple[list[float | None], bool]:
    """Return the win probability of each image, and whether the skill of the model is proven.

    An answer divides the probability of a near-identical group among its members. In the result of this function, each
    member has the probability of the whole group. The probability is None for a picture that the model cannot rank. If
    the skill of the model is not proven, all probabilities are None, and a note on stderr says so. Raises `LabError` if
    a picture cannot be read, or if there is no answer.
    """
    from thumblab_serving.schemas.verdict import Verdict

    sources = _sources(images)
    answer, _ = _answer(settings, sources, _form([title], [niche], channel_id), local=False)
    unread = [f"{thumbnail.id}: {thumbnail.error}" for thumbnail in answer.thumbnails if thumbnail.error is not None]
    if unread:
        raise LabError("; ".join(unread))
    proven = answer.verdict is not Verdict.NO_SKILL
    if not proven:
        click.echo(
            "note: the model was not shown to order such pictures better than chance, so it chooses no picture",
            err=True,
        )
    by_id = {thumbnail.id: thumbnail.win_probability for thumbnail in answer.thumbnails}
    for group in answer.near_identical:
        shares = [share for share in map(by_id.get, group) if share is not None]
        by_id |= {name: sum(shares) for name in group if by_id[name] is not None}
    return [by_id.get(source.id) for source in sources], proven


def _answer(
    settings: "Settings", sources: "Sequence[Source]", form: "ScoreForm", local: bool
) -> "tuple[ScoreAnswer, str]":
    """Return the answer, and the name of the service or process that gave it. Raise `LabError` if there is no answer."""
    from thumblab_core.running import running_lab

    running = None if local else running_lab(settings.data_dir)
    if settings.serving_url and not local:
        try:
            answer = _score_by_service(settings.serving_url, settings, sources, form)
        except _NoAnswerError as error:
            raise LabError(f"{error}; check the service, or give --local to score in this process") from None
        return answer, f"the service at {settings.serving_url}"
    if running is not None:
        try:
            return _score_by_service(running.scoring, settings, sources, form), f"the service at {running.scoring}"
        except _NoAnswerError as error:
            click.echo(f"{error}; scoring in this process instead", err=True)
    return _score_here(settings, sources, form), f"this process, for the lab in {settings.data_dir}"


class _NoAnswerError(LabError):
    """The error for a service that gave no usable answer. A later request or this process may still give an answer.

    The service may have sent the number of seconds after which to try again. `retry_after` has this number, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def _sources(images: "Sequence[str]") -> "list[Source]":
    """Return the pictures at the distinct paths and URLs among `images`."""
    from thumblab_cli.scoring.picture_ids import picture_ids

    return [_source(image, id_) for image, id_ in picture_ids(images).items()]


def _source(image: str, name: str) -> "Source":
    """Return the picture at a path or URL. If the file cannot be read, return a `Source` with an error."""
    from thumblab_core.images import ImageError, read_file
    from thumblab_serving.scoring.intake import Source

    if image.startswith(("http://", "https://")):
        return Source(name, url=image)
    try:
        return Source(name, data=read_file(Path(image)))
    except ImageError as error:
        return Source(name, error=str(error))
    except OSError as error:
        return Source(name, error=f"the file cannot be read ({error.strerror})")


def _form(titles: "Sequence[str]", niches: "Sequence[str]", channel_id: str | None) -> "ScoreForm":
    """Check the fields of the scoring request as the service does, and return them.

    Raise `LabError` if a field is invalid.
    """
    from pydantic import ValidationError

    from thumblab_serving.http.problems import validation_message
    from thumblab_serving.schemas.request import ScoreForm

    one_title, one_niche = len(titles) == 1, len(niches) == 1
    fields: dict[str, object] = {"title": titles[0]} if one_title else {"titles": list(titles)}
    fields |= {"category": niches[0]} if one_niche else {"categories": list(niches)}
    try:
        return ScoreForm.model_validate(fields | {"channel_id": channel_id})
    except ValidationError as error:
        raise LabError(validation_message(error)) from None


@contextmanager
def _asking(settings: "Settings", local: bool) -> "Iterator[Callable[[ScoreRequest], ScoreAnswer]]":
    """Yield a function that answers many requests. One service or this process computes the answers.

    The function raises `RefusedRequestError` for a request that cannot be answered. The function raises another
    `LabError` for a temporary failure that affects every request, such as a service that is down.
    """
    from thumblab_cli.scoring.refused import RefusedRequestError
    from thumblab_core.running import running_lab
    from thumblab_serving.schemas.request import MAX_THUMBNAILS
    from thumblab_serving.scoring.scorer import Scorer

    running = None if local else running_lab(settings.data_dir)
    url = None if local else settings.serving_url or (None if running is None else running.scoring)
    scorer = Scorer(settings) if url is None else None
    channel_ids = ChannelIds(settings)

    def ask(request: "ScoreRequest") -> "ScoreAnswer":
        if len(request.images) > MAX_THUMBNAILS:
            raise RefusedRequestError(f"at most {MAX_THUMBNAILS} thumbnails are ranked at a time; split the group")
        channel_id = None if request.channel is None else channel_ids.of(request.channel)
        try:
            form = _form(request.titles, request.niches, channel_id)
        except LabError as error:
            raise RefusedRequestError(str(error)) from None
        sources = _sources(request.images)
        if scorer is not None:
            # The results file has no column for people, so this answer does not name people.
            return scorer.score(sources, form, owner=None)
        return _score_patiently(str(url), settings, sources, form)

    try:
        yield ask
    finally:
        if scorer is not None:
            scorer.close()


def _score_patiently(url: str, settings: "Settings", sources: "Sequence[Source]", form: "ScoreForm") -> "ScoreAnswer":
    """Return the answer of a service. If the service is busy, wait and try again, at most `_MOST_WAITS` times."""
    for _ in range(_MOST_WAITS):
        try:
            return _score_by_service(url, settings, sources, form, see_people=False)
        except _NoAnswerError as error:
            if error.retry_after is None:
                raise
            time.sleep(min(error.retry_after, _LONGEST_WAIT_S))
    return _score_by_service(url, settings, sources, form, see_people=False)


def _score_here(settings: "Settings", sources: "Sequence[Source]", form: "ScoreForm") -> "ScoreAnswer":
    """Return the answer that this process computes.

    Raise `LabError` if there are too many pictures, or if the lab has no model or encoder that can be used.
    """
    from thumblab_serving.schemas.request import MAX_THUMBNAILS
    from thumblab_serving.scoring.scorer import Scorer

    if len(sources) > MAX_THUMBNAILS:
        raise LabError(f"at most {MAX_THUMBNAILS} thumbnails are ranked at a time; {len(sources)} were given.")
    scorer = Scorer(settings)
    try:
        return scorer.score(sources, form, owner=None, see_people=True)
    finally:
        scorer.close()


def _score_by_service(
    url: str, settings: "Settings", sources: "Sequence[Source]", form: "ScoreForm", see_people: bool = True
) -> "ScoreAnswer":
    """Return the answer of a service. Without `see_people`, the service looks for no people.

    Raise `LabError` if this lab has no API key, if no picture could be read, or if the service says that the request is
    invalid. Raise `_NoAnswerError` for every other failure.
    """
    import base64

    import httpx
    from pydantic import ValidationError

    from thumblab_cli.scoring.refused import RefusedRequestError
    from thumblab_core.keys.generated_key import kept_key
    from thumblab_serving.schemas.answer import ScoreAnswer, ThumbnailScore

    key = kept_key(settings)
    if key is None:  # This lab has no key, so the service belongs to another lab and would refuse a new key.
        raise LabError(
            f"the lab in {settings.data_dir} has no API key; set THUMBLAB_API_KEY to the key of the service at {url}"
        )
    sendable = [source for source in sources if source.error is None]
    if not sendable:
        raise RefusedRequestError("; ".join(f"{source.id}: {source.error}" for source in sources))
    thumbnails = [
        {"id": s.id, "url": s.url} if s.url else {"id": s.id, "image_base64": base64.b64encode(s.data or b"").decode()}
        for s in sendable
    ]
    body = {**form.model_dump(mode="json", exclude_none=True, exclude_unset=True), "thumbnails": thumbnails}
    endpoint = f"{url.rstrip('/')}/v1/score" + ("" if see_people else "?people=false")
    try:
        reply = httpx.post(endpoint, json=body, headers={"X-API-Key": key}, timeout=120, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NoAnswerError(f"the service at {url} did not answer ({error or type(error).__name__})") from None
    try:
        if reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise RefusedRequestError(f"the service refused the request: {reply.json()['detail']}")
        if reply.status_code != httpx.codes.OK:
            wait = reply.headers.get("Retry-After", "")
            seconds = float(wait) if wait.isdecimal() else None
            raise _NoAnswerError(f"the service at {url} refused the request: {reply.json()['detail']}", seconds)
        answer = ScoreAnswer.model_validate(reply.json())
    except (ValueError, KeyError, TypeError, ValidationError):
        raise _NoAnswerError(
            f"{endpoint} answered with status {reply.status_code}, but not in the format of a scoring service"
        ) from None

    def merged(of_niche: ScoreAnswer) -> ScoreAnswer:
        """Add to the answer the unreadable pictures, which were not sent to the service."""
        by_id = {thumbnail.id: thumbnail for thumbnail in of_niche.thumbnails}
        thumbnails = [
            by_id.get(s.id) or ThumbnailScore(id=s.id, error=s.error, title=s.title or form.all_titles[0])
            for s in sources
        ]
        return of_niche.model_copy(update={"thumbnails": thumbnails})

    return merged(answer).model_copy(update={"other_niches": [merged(other) for other in answer.other_niches]})


def _service_note(url: str) -> str | None:
    """Return the service's note on its library. The note says, for example, that the library has synthetic videos.

    Return None if the service has no note. If the service does not answer, return a sentence that says so.
    """
    import httpx

    try:
        reply = httpx.get(f"{url.rstrip('/')}/health", timeout=30, trust_env=False).raise_for_status()
        note = reply.json().get("library_note")
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return f"the service did not say what its library is made of ({error or type(error).__name__})"
    return None if note is None else str(note)
