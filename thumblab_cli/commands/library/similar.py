"""`thumblab similar`: find thumbnails of the library that are similar to a picture, a video or a text."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.niche_type import NICHE_OF_SERVICE
from thumblab_cli.which_lab import chosen_settings, on_this_lab
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from datetime import datetime

    from thumblab_core.settings import Settings
    from thumblab_serving.schemas.library import SimilarOut

_DAY = click.DateTime(["%Y-%m-%d"])
_TIMEOUT_S = 60.0


class _NoAnswerError(LabError):
    """The error for a service that gave no usable answer. In this case, this process may be able to make the search
    itself.
    """


@click.command("similar")
@click.option("--image", type=click.Path(path_type=Path), help="Find thumbnails like this picture.")
@click.option("--video", "video_id", metavar="ID", help="Find thumbnails like the thumbnail of this video of the lab.")
@click.option("--text", help="Find thumbnails that match this text. If the encoder takes no texts, search the titles.")
@click.option("--niche", type=NICHE_OF_SERVICE, help="Search this niche only. Default: all niches.")
@click.option("-k", "--k", "k", type=click.IntRange(1, 100), default=10, show_default=True, help="How many to find.")
@click.option(
    "--offset",
    type=click.IntRange(0, 900),
    default=0,
    help="The number of thumbnails to skip at the beginning of the list.",
)
@click.option(
    "--since", "published_after", type=_DAY, help="Find only videos that were published on this day or later."
)
@click.option(
    "--until", "published_before", type=_DAY, help="Find only videos that were published on this day or earlier."
)
@click.option("--min-multiple", "min_outlier_multiple", type=click.FloatRange(0), help="The minimum outlier multiple.")
@click.option("--exclude-channel", help="Leave out the videos of this channel: its id, exact title, @handle or link.")
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="With 0, the most similar thumbnails come first. With a higher number, near-duplicates come later.",
)
@click.option("--local", is_flag=True, help="Search in this process, even if a service runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(image: Path | None, local: bool, as_json: bool, **fields: Any) -> None:
    """Find the thumbnails of the library that are most similar to a picture, to the thumbnail of a video, or to a text.

    The running service answers. If no service runs, this process answers. The search uses the same libraries as
    `thumblab score`.
    """

    if sum(value is not None for value in (image, fields["video_id"], fields["text"])) != 1:
        raise click.UsageError("Give exactly one of --image, --video and --text.")
    answer = _answer(chosen_settings(), _body(image, fields), local)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
        return
    for sentence in answer.degraded:
        click.echo(on_this_lab(f"note: {sentence}"), err=True)
    for item in answer.items:
        multiple = "" if item.outlier_multiple is None else f"{item.outlier_multiple:.1f}x, "
        facts = f"{multiple}{item.views_per_hour:,.0f} views/h, {item.channel}"
        click.echo(_printable(f"{item.similarity:.3f}  {item.niche}  {item.video_id}  {item.title}  ({facts})"))
    if not answer.items:
        click.echo("nothing was found", err=True)


def _body(image: Path | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the request as JSON. Raise `LabError` if the picture cannot be read."""
    import base64

    from thumblab_core.images import ImageError, read_file

    body = {name: value for name, value in fields.items() if value is not None}
    for name in ("published_after", "published_before"):
        if name in body:
            moment: datetime = body[name]
            body[name] = moment.date().isoformat()
    if image is not None:
        try:
            body["image_base64"] = base64.b64encode(read_file(image)).decode()
        except ImageError as error:
            raise LabError(f"{image}: {error}") from None
        except OSError as error:
            raise LabError(f"{image}: the file cannot be read ({error.strerror})") from None
    return body


def _answer(settings: "Settings", body: dict[str, Any], local: bool) -> "SimilarOut":
    from thumblab_core.running import running_lab

    if settings.serving_url and not local:
        try:
            return _by_service(settings.serving_url, settings, body)
        except _NoAnswerError as error:
            raise LabError(f"{error}; check the service, or give --local to search in this process") from None
    running = None if local else running_lab(settings.data_dir)
    if running is not None:
        try:
            return _by_service(running.scoring, settings, body)
        except _NoAnswerError as error:
            click.echo(f"{error}; searching in this process instead", err=True)
    return _here(settings, body)


def _by_service(url: str, settings: "Settings", body: dict[str, Any]) -> "SimilarOut":
    """Return the answer of a service. Raise `LabError` if the request is wrong.

    Raise `_NoAnswerError` if the service gives no usable answer for another reason.
    """
    import httpx

    from thumblab_core.keys.generated_key import kept_key
    from thumblab_serving.schemas.library import SimilarOut

    key = kept_key(settings)
    if key is None:
        raise LabError(
            f"the lab in {settings.data_dir} has no API key; set THUMBLAB_API_KEY to the key of the service at {url}"
        )
    endpoint, headers = f"{url.rstrip('/')}/v1/similar", {"X-API-Key": key}
    try:
        reply = httpx.post(endpoint, json=body, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NoAnswerError(f"the service at {url} did not answer ({error or type(error).__name__})") from None
    try:
        if reply.status_code in (httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
            raise LabError(f"the service refused the request: {reply.json()['detail']}")
        if reply.status_code != httpx.codes.OK:
            raise _NoAnswerError(f"the service at {url} refused the request: {reply.json()['detail']}")
        return SimilarOut.model_validate_json(reply.content)
    except (ValueError, KeyError, TypeError):
        raise _NoAnswerError(
            f"{endpoint} answered with status {reply.status_code}, but not in the format of a scoring service"
        ) from None


def _here(settings: "Settings", body: dict[str, Any]) -> "SimilarOut":
    """Return the answer that this process computes."""
    from pydantic import ValidationError

    from thumblab_serving.http.problems import validation_message
    from thumblab_serving.looking.similar_request import SimilarRequest
    from thumblab_serving.looking.similar_search import SimilarSearch
    from thumblab_serving.looking.similar_submission import asked_of
    from thumblab_serving.scoring.scorer import Scorer

    try:
        request = SimilarRequest.model_validate(body)
    except ValidationError as error:
        raise LabError(validation_message(error)) from None
    scorer = Scorer(settings)
    try:
        return SimilarSearch(scorer).answer(asked_of(request))
    finally:
        scorer.close()


def _printable(line: str) -> str:
    from thumblab_cli.printing.printable import printable

    return printable(line)
