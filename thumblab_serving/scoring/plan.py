"""Plan a test of two of the candidates of a request."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from thumblab_core.experiments.planning import (
    ALPHA,
    ASSUMED_CTR,
    LIFT,
    POWER,
    advice_without_pair,
    alike_pairs,
    impressions_per_variant,
    pair_to_test,
)
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase
from thumblab_serving.schemas.plan import AlikeOut, PairOut, PlanOut
from thumblab_serving.schemas.verdict import Verdict
from thumblab_serving.scoring.intake import ExaminedPicture
from thumblab_serving.scoring.rank import Ranking

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

    from thumblab_core.experiments.usual_ctr import UsualCtr

_NO_CHANNEL = "the request names no channel"
_FEW_IMPRESSIONS = "the lab knows fewer than 1,000 impressions of the channel"
_PRIVATE = "the click-through rates of a channel are used only for the API key to which the channel belongs"


def plan_test(
    pictures: Mapping[str, ExaminedPicture],
    ranking: Ranking,
    channel_id: str | None,
    owner: str | None,
    database: ServiceDatabase,
) -> PlanOut | None:
    """Return the plan of a test of two of the pictures.

    If the request names a channel that belongs to `owner` (see `Channel.belongs_to`), the plan is based on the
    channel's usual click-through rate. This rate is private. Return None if there are fewer than two pictures, or if
    the database is needed for this rate and cannot answer. Also return None if the rate is so high that a rate better
    by `LIFT` would be 100 % or more.
    """
    if len(pictures) < 2:
        return None
    try:
        usual = _NO_CHANNEL if channel_id is None else _usual_ctr(database, channel_id, owner)
    except NoDatabaseError:
        return None
    reason = usual if isinstance(usual, str) else None
    rate = ASSUMED_CTR if isinstance(usual, str) else usual.ctr
    if rate * (1 + LIFT) >= 1:
        return None
    names = list(pictures)
    strengths = [ranking.strengths.get(name) for name in names]
    alike = alike_pairs([picture.appearance for picture in pictures.values()])
    pair = pair_to_test(strengths, 1.0, alike)
    return PlanOut(
        click_through_rate=rate,
        click_through_rate_of="channel" if reason is None else "assumed",
        assumed_because=reason,
        lift=LIFT,
        power=POWER,
        alpha=ALPHA,
        impressions_per_variant=impressions_per_variant(rate, LIFT),
        pair=None
        if pair is None
        else PairOut(
            first=names[pair.first],
            second=names[pair.second],
            win_probability=pair.win_probability,
            information=pair.information,
        ),
        too_alike=[AlikeOut(first=names[one.first], second=names[one.second], bits=one.bits) for one in alike],
        advice=None
        if pair is not None
        else advice_without_pair(strengths, alike, ranking.verdict is not Verdict.NO_SKILL),
    )


def _usual_ctr(database: ServiceDatabase, channel_id: str, owner: str | None) -> "UsualCtr | str":
    """Return the usual click-through rate of a channel, or a sentence that says why the rate is not used."""
    from thumblab_core.database.channels import channel_of_id
    from thumblab_core.experiments.usual_ctr import usual_ctr

    def read(connection: "Connection") -> "UsualCtr | str":
        channel = channel_of_id(connection, channel_id)
        if channel is not None and not channel.belongs_to(owner):
            return _PRIVATE
        return usual_ctr(connection, channel_id) or _FEW_IMPRESSIONS

    return database.read(read)
