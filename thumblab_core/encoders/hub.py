"""Hugging Face's hub, asked once and briefly whether it is there before a model is loaded by a name that it knows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 8.0
"""Seconds for an answer of any kind. A download that has begun may take as long as it takes."""

_loading = threading.RLock()


@contextmanager
def hub_in_reach() -> Iterator[str | None]:
    """Load models from the hub, or from its local cache when the hub does not answer.

    Gives None, or why the hub is not asked. The hub's own client tries each of several files again for a minute.
    """
    from huggingface_hub import constants

    with _loading:
        reason = _unreachable()
        offline = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = offline or reason is not None
        try:
            yield reason
        finally:
            constants.HF_HUB_OFFLINE = offline


def _unreachable() -> str | None:
    """Why the hub cannot be asked; asks it as its client would: the same address, proxies and certificates."""
    from huggingface_hub import constants, get_session

    answers: list[Any] = []

    def ask() -> None:
        try:
            # GET, because mirrors exist that know no HEAD; the body is not read.
            with get_session().stream("GET", constants.ENDPOINT, timeout=PATIENCE) as answer:
                answers.append(answer.status_code)
        except Exception as error:  # noqa: BLE001  whatever it is, nothing can be downloaded
            answers.append(type(error).__name__)

    # A thread, because a resolver or an answer that drips keeps to no timeout.
    asking = threading.Thread(target=ask, name="hub", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    found = answers[0] if answers else f"nothing within {PATIENCE:g} s"
    if isinstance(found, int) and found < 500:
        return None
    return f"the hub {constants.ENDPOINT} gave {found}"
