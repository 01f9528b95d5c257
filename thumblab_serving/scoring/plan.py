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
    from thumblab_core.experiments.usual_ctr import UsualCtr


def plan_test(
    pictures: Mapping[str, ExaminedPicture], ranking: Ranking, channel_id: str | None, database: ServiceDatabase
) -> PlanOut | None:
    """Return the plan of a test of two of the pictures.

    If the request names a channel, the plan is based on the channel's usual click-through rate. Return None if there
    are fewer than two pictures, or if the database must be asked for this rate and cannot answer. Also return None if
    the rate is so high that a rate better by `LIFT` would be 100 % or more.
    """
    if len(pictures) < 2:
        return None
    try:
        usual = None if channel_id is None else _usual_ctr(database, channel_id)
    except NoDatabaseError:
        return None
    rate = ASSUMED_CTR if usual is None else usual.ctr
    if rate * (1 + LIFT) >= 1:
        return None
    names = list(pictures)
    strengths = [ranking.strengths.get(name) for name in names]
    alike = alike_pairs([picture.appearance for picture in pictures.values()])
    pair = pair_to_test(strengths, 1.0, alike)
    return PlanOut(
        click_through_rate=rate,
        click_through_rate_of="assumed" if usual is None else "channel",
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


def _usual_ctr(database: ServiceDatabase, channel_id: str) -> "UsualCtr | None":
    from thumblab_core.experiments.usual_ctr import usual_ctr

    return database.read(lambda connection: usual_ctr(connection, channel_id))
