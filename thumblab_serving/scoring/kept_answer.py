"""Convert an answer to the prediction that the service keeps in the database."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS
from thumblab_serving.loading.channel_names import ChannelNames
from thumblab_serving.schemas.answer import ChannelOut, ScoreAnswer
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring.intake import ExaminedPicture


def kept_prediction(
    form: ScoreForm, answer: ScoreAnswer, pictures: Mapping[str, ExaminedPicture], names: ChannelNames
) -> KeptPrediction:
    """Return the prediction for an answer. The prediction does not contain the pictures.

    The prediction has the channel of `form` only if `names` or the model knows the channel. Any other text, such as an
    unknown @handle, is not kept, because predictions are joined with videos and experiments by the channel id.

    `pictures` are the candidates that could be read, by their ids. Other candidates are left out. The answer must be
    about one title.
    """
    readable = [
        (position, thumbnail, pictures[thumbnail.id])
        for position, thumbnail in enumerate(answer.thumbnails, 1)
        if thumbnail.id in pictures
    ]
    return KeptPrediction(
        prediction_id=uuid.uuid4(),
        scored_at=datetime.now(UTC),
        model_release=answer.releases.model,
        channel_id=_channel_id(form.channel_id, answer.channel, names),
        niche=answer.niche,
        title=next(thumbnail.title or "" for _, thumbnail, _ in readable),
        verdict=None if answer.verdict is None else answer.verdict.value,
        confidence=answer.confidence,
        ordered_by=None if answer.ordered_by is None else answer.ordered_by.value,
        knowledge=_knowledge(answer.channel),
        candidates=tuple(
            KeptCandidate(
                position,
                picture.sha256,
                picture.appearance.perceptual_hash,
                thumbnail.score,
                thumbnail.win_probability,
                thumbnail.rank,
            )
            for position, thumbnail, picture in readable
        ),
    )


def _channel_id(name: str | None, channel: ChannelOut | None, names: ChannelNames) -> str | None:
    """Return the id of the channel `name`, or None if the lab does not know the channel."""
    # A channel's adapter is looked up by the id of the channel. So if the answer is adapted, `name` is this id.
    if name is None or (channel is not None and channel.adapted):
        return name
    return names.known_id(name)


def _knowledge(channel: ChannelOut | None) -> str:
    if channel is None or not channel.adapted:
        return NEW_CHANNELS
    return FUTURE if channel.release is None else ADAPTED
