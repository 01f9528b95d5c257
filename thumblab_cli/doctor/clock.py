"""Check the clock of the machine."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, warning
from thumblab_cli.doctor.releases import served_releases
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release

_WARNING_S, _ERROR_S = 5.0, 60.0


def clock(examined: Examined) -> Iterator[Finding]:
    """Compare the clock of this machine with the clock of the database and with the dates of earlier releases.

    Check that the time zone of the schedules is known.
    """
    mend = "set the clock: timedatectl set-ntp true"
    now = examined.machine.now()
    try:
        ZoneInfo("Australia/Hobart")
    except ZoneInfoNotFoundError:
        yield error("the time zone Australia/Hobart is unknown, so no schedule runs", "pip install tzdata")
    ahead = [release for release in served_releases(examined) if _made(release) - now.timestamp() > _ERROR_S]
    behind = None
    # The embedded database server uses the clock of this machine. Only an external database has a clock to compare.
    if examined.settings.database_url is not None:
        behind = _seconds_behind_database(examined)
    if behind is not None and abs(behind) >= _WARNING_S:
        what = f"the clock is {abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} that of the database"
        yield error(what, mend) if abs(behind) >= _ERROR_S else warning(what, mend)
    elif ahead:
        yield error(f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the release {ahead[-1]} was made later", mend)
    elif behind is not None:
        yield fine(f"{now:%Y-%m-%d %H:%M:%S} UTC, which differs by {abs(behind):.1f} s from the database's clock")
    else:
        yield fine(f"{now:%Y-%m-%d %H:%M:%S} UTC, later than every served release")


def _made(release: Release) -> float:
    return datetime.fromisoformat(release.created_at).timestamp()


def _seconds_behind_database(examined: Examined) -> float | None:
    from sqlalchemy import text

    try:
        with examined.database() as connection:
            before = examined.machine.now()
            theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            after = examined.machine.now()
    except LabError:  # The check `database` reports this error.
        return None
    # Assume that the database read its clock halfway between the two readings of this machine's clock.
    return float((theirs - (before + (after - before) / 2)).total_seconds())
