"""Check that no alert is open, and that no alert channel refuses messages."""

from collections.abc import Iterator

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, fine, skipped, warning
from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import read_state


def alerts(examined: Examined) -> Iterator[Finding]:
    """Report each open alert, and each alert channel that has refused a message."""
    try:
        state = read_state(examined.settings.data_dir)
    except LabError as problem:
        yield warning(str(problem), "follow the advice in the line above")
        return
    if state is None:
        yield skipped(
            "no alert can be sent: the file `monitoring.json` is missing, so Dagster's sensor `alerts` has not run yet"
        )
        return
    refused = {delivery.channel: delivery for delivery in reversed(state.deliveries) if delivery.problem}
    for channel, delivery in refused.items():
        waiting = sum(delivery.channel == channel for delivery in state.deliveries)
        yield warning(
            f"the alert channel {channel} refuses messages ({waiting} waiting): {delivery.problem}",
            "correct the settings of the channel, then run `thumblab alert test`; the messages are sent again",
        )
    for alert in state.alerts.values():
        close = examined.up(f"alert close {alert.cause}")
        yield warning(f"{alert.what}: {alert.error}", f"{alert.advice} If the problem is over, run `{close}`")
    if not refused and not state.alerts:
        yield fine("no alert is open")
