"""Check quickly that Hugging Face's hub can be reached before a model is loaded from it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 8.0
"""Seconds to wait for the first answer of the hub. A download that has begun has no time limit."""

_loading = threading.RLock()


@contextmanager
def hub_in_reach() -> Iterator[str | None]:
    """Let the `with` block load models from the hub, or only from the local cache if the hub does not answer.

    Yields the reason why only the cache is used, or None if the hub answers. Without this check, the package
    huggingface_hub would wait for a minute for each file, if the hub does not answer.
    """
    from huggingface_hub import constants

    with _loading:
        reason = hub_problem()
        offline = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = offline or reason is not None
        try:
            yield reason
        finally:
            constants.HF_HUB_OFFLINE = offline


def hub_problem() -> str | None:
    """Return why the hub cannot be reached, or None if the hub can be reached.

    The request uses the same address, proxies and certificates as the package huggingface_hub.
    """
    from huggingface_hub import constants, get_session

    problems: list[str | None] = []
    late = f"did not answer within {PATIENCE:g} s"

    def ask() -> None:
        try:
            # The request is a GET, because some mirrors do not support HEAD. The body of the answer is not read.
            with get_session().stream("GET", constants.ENDPOINT, timeout=PATIENCE) as answer:
                problems.append(f"answered {answer.status_code}" if answer.status_code >= 500 else None)
        except Exception as error:  # noqa: BLE001  whatever the error, nothing can be downloaded
            # A timeout is recognised by the name of the error's class. huggingface_hub has changed to another HTTP
            # library before, and each HTTP library has its own classes of errors.
            name = type(error).__name__
            problems.append(late if "Timeout" in name else f"cannot be reached: {name}")

    # The request runs in a thread, because the timeout of the request covers neither name resolution nor an answer that
    # arrives byte by byte.
    asking = threading.Thread(target=ask, name="hub", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    problem = problems[0] if problems else late
    return None if problem is None else f"the hub {constants.ENDPOINT} {problem}"
