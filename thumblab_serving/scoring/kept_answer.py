"""Convert an answer to the prediction that the service keeps in the database."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS
from thumblab_serving.schemas.answer import ChannelOut, ScoreAnswer
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring.intake import ExaminedPicture


def kept_prediction(form: ScoreForm, answer: ScoreAnswer, pictures: Mapping[str, ExaminedPicture]) -> KeptPrediction:
    """Return the prediction for an answer. It does not contain the pictures.

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
        channel_id=form.channel_id,
        niche=answer.niche.value,
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


def _knowledge(channel: ChannelOut | None) -> str:
    if channel is None or not channel.adapted:
        return NEW_CHANNELS
    return FUTURE if channel.release is None else ADAPTED
