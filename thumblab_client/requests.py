"""Build the requests to the service, and read their answers. This module sends nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from thumblab_client.decoding import decode
from thumblab_client.errors import (
    InvalidRequestError,
    PictureError,
    ProblemError,
    ThumblabError,
    UnexpectedAnswerError,
    problem_error,
)
from thumblab_client.models.answer import ScoreAnswer
from thumblab_client.models.experiments import ExperimentsOut, StoredExperimentOut
from thumblab_client.models.health import HealthOut
from thumblab_client.models.lab import LabOut
from thumblab_client.pictures import Picture, PictureLike, fit_into_a_form, in_json, pictures_of
from thumblab_client.waiting import seconds_of

T = TypeVar("T")

_SHOWN = 40
"""Maximum number of characters of a text that an error shows."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request to the service.

    `answer` is the dataclass of the answer. `content` has the keyword arguments with which httpx sends the body.

    Raises `ThumblabError` if a text of the content cannot be sent, see `require_utf8`.
    """

    method: str
    path: str
    answer: type[T]
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for part in self.content.values():
            require_utf8("", part)

    def read(self, response: httpx.Response, repeated: bool = False) -> T:
        """Return the answer. Raises a `ProblemError` for an error of the service.

        `repeated` is true if the request was sent before, and its first answer was lost because the connection broke.
        Raises `UnexpectedAnswerError` if the answer does not have the documented form.
        """
        require_success(response)
        try:
            return self.decoded(response)
        except UnexpectedAnswerError as error:
            raise UnexpectedAnswerError(f"{_where(response)}: {error}") from None

    def decoded(self, response: httpx.Response) -> T:
        """Return the body of a successful answer, decoded. Raises `UnexpectedAnswerError` if the body does not have the
        form of `answer`.
        """
        return decode(self.answer, _document(response))


@dataclass(frozen=True)
class Variant:
    """A variant of an experiment: a picture, a title, or both, with its share of watch time and its impressions."""

    picture: PictureLike | None = None
    title: str | None = None
    watch_time_share: float | None = None
    impressions: int | None = None


def score(
    titles: str | Sequence[str],
    pictures: Iterable[PictureLike],
    categories: str | Sequence[str] | None = None,
    channel_id: str | None = None,
) -> Call[ScoreAnswer]:
    """Return the request that ranks pictures, or packages of titles and pictures.

    Raises `PictureError` if a picture cannot be read.
    """
    sent = _some(pictures)
    if not fit_into_a_form(sent):
        body = scoring_request(titles, sent, categories, channel_id)
        return Call("POST", "/v1/score", ScoreAnswer, {"json": body})
    fields = _fields(titles, categories, channel_id)
    if any(picture.title is not None for picture in sent):
        fields["thumbnail_titles"] = [picture.title or "" for picture in sent]
    files = [("thumbnails", (picture.id, picture.data, "application/octet-stream")) for picture in sent]
    return Call("POST", "/v1/score", ScoreAnswer, {"data": fields, "files": files})


def scoring_request(
    titles: str | Sequence[str],
    pictures: Iterable[PictureLike],
    categories: str | Sequence[str] | None = None,
    channel_id: str | None = None,
) -> dict[str, Any]:
    """Return a scoring request as JSON. Raises `PictureError` if a picture cannot be read."""
    thumbnails = [{"id": picture.id, **in_json(picture), **known(title=picture.title)} for picture in _some(pictures)]
    return _fields(titles, categories, channel_id) | {"thumbnails": thumbnails}


def _fields(
    titles: str | Sequence[str], categories: str | Sequence[str] | None, channel_id: str | None
) -> dict[str, Any]:
    """Return the fields of a scoring request except its pictures. `titles` is one text, or a list of several texts."""
    fields: dict[str, Any] = {"title": titles} if isinstance(titles, str) else {"titles": list(titles)}
    if categories is not None:
        fields |= {"category": categories} if isinstance(categories, str) else {"categories": list(categories)}
    return fields | known(channel_id=channel_id)


def _some(pictures: Iterable[PictureLike]) -> list[Picture]:
    sent = pictures_of(pictures)
    if not sent:
        raise PictureError("give at least one picture")
    return sent


def store_experiment(
    channel_id: str,
    video_id: str,
    started_on: date,
    outcome: str,
    variants: Sequence[Variant],
    **optional: date | int | None,
) -> Call[StoredExperimentOut]:
    """Return the request that stores an experiment. `optional` may have `ended_on` and `winner`."""
    body = known(channel_id=channel_id, video_id=video_id, started_on=started_on, outcome=outcome, **optional)
    body["variants"] = [_variant(number, variant) for number, variant in enumerate(variants, start=1)]
    return Call("POST", "/v1/experiments", StoredExperimentOut, {"json": body})


def experiments(channel_id: str | None = None, limit: int = 20, cursor: str | None = None) -> Call[ExperimentsOut]:
    """Return the request for a page of the stored experiments, the newest first."""
    query = known(channel_id=channel_id, limit=limit, cursor=cursor)
    return Call("GET", "/v1/experiments", ExperimentsOut, {"params": query})


def health() -> Call[HealthOut]:
    """Return the request for the state of every component."""
    return Call("GET", "/health", HealthOut)


def ready() -> Call[HealthOut]:
    """Return the request for the state of the service. If the service cannot score now, it answers this request with an
    error.
    """
    return Call("GET", "/ready", HealthOut)


def lab() -> Call[LabOut]:
    """Return the request for the libraries and the model of the lab."""
    return Call("GET", "/v1/lab", LabOut)


def _variant(number: int, variant: Variant) -> dict[str, Any]:
    fields = known(title=variant.title, watch_time_share=variant.watch_time_share, impressions=variant.impressions)
    given = variant.picture
    if given is None:
        return fields
    (picture,) = pictures_of([given])
    if picture.data == b"":
        raise PictureError(f"variant {number}: the picture {picture.id} is empty")
    return fields | in_json(picture)


def known(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None. A date becomes a text of the form YYYY-MM-DD."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in fields.items()
        if value is not None
    }


def in_path(name: str, text: str) -> str:
    """Return the argument `name` as a part of a path. Raises `ThumblabError` if it cannot be sent."""
    require_utf8(name, text)
    return quote(text, safe="")


def require_utf8(name: str, value: object) -> None:
    """Raise `ThumblabError` if a text in `value` has a lone surrogate, which UTF-8 cannot encode. The error names the
    text: `name` with the keys and positions that lead to the text.
    """
    if isinstance(value, str):
        # A text in ASCII, such as a picture in base64, is known to be one without a look at its characters.
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ThumblabError(f"{name}: {value[:_SHOWN]!a} has a lone surrogate; give a text that UTF-8 can encode")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            require_utf8(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            require_utf8(f"{name}.{number}" if name else str(number), part)


def require_success(response: httpx.Response) -> None:
    """Raise a `ProblemError` for an error of the service, and `UnexpectedAnswerError` if another program answered."""
    if response.is_redirect:
        raise UnexpectedAnswerError(
            f"{_where(response)} was redirected to another address; use that address as the URL"
        )
    if not response.is_success:
        raise _problem(response, _document(response), _where(response))


def _where(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.copy_with(query=None)}"


def _document(response: httpx.Response) -> object:
    """Return the JSON of an answer, or None if the answer is not JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def _problem(response: httpx.Response, document: object, where: str) -> ProblemError | UnexpectedAnswerError:
    problem = document if isinstance(document, Mapping) else {}
    type_, title, detail = (problem.get(name) for name in ("type", "title", "detail"))
    if not (isinstance(type_, str) and isinstance(title, str) and isinstance(detail, str)):
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return UnexpectedAnswerError(f"{where} was answered with status {response.status_code}")
        phrase = response.reason_phrase or "error"
        return _without_a_problem(response, f"{where} was answered with status {response.status_code} ({phrase})")
    kind = problem_error(response.status_code)
    retry_after = seconds_of(response.headers.get("Retry-After"))
    return kind(response.status_code, type_, title, detail, retry_after, response.headers.get("X-Request-Id"))


def _without_a_problem(response: httpx.Response, detail: str) -> ProblemError:
    """Return the error for an answer with an error status and without a problem document. A proxy, for example, sends
    such answers.
    """
    kind = problem_error(response.status_code)
    if kind is InvalidRequestError:
        detail += ", but not by the scoring service; check the URL"
    retry_after = seconds_of(response.headers.get("Retry-After"))
    return kind(response.status_code, "about:blank", response.reason_phrase or "Error", detail, retry_after)
