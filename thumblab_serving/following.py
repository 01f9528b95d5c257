"""Load the encoders and releases of a worker, and load new releases as long as the worker runs."""

import asyncio
import logging
import signal

from anyio import CapacityLimiter, to_thread

from thumblab_serving.loading.faults import message
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.workers.registry import WorkerRegistry, is_orphan

_POLL_S = 1.0
"""Seconds after which a worker reads the pointers again, and tries again to load parts that could not be loaded.

A part that could not be loaded is skipped until its `Backoff` says that it is time to try again.
"""
_HANDOVER_S = 0.1

_log = logging.getLogger("thumblab_serving")


async def follow(scorer: Scorer, workers: WorkerRegistry) -> None:
    """Load encoders, meters and releases, and then the releases that are promoted later. Never returns.

    A request also loads the promoted releases. But a worker must load these releases even if no request comes.
    Otherwise the next request would have to wait, and the workers would serve different releases.
    """
    limiter, step, logged = CapacityLimiter(1), scorer.load, None
    await to_thread.run_sync(workers.update, limiter=limiter)  # Other workers read the state to answer `/health`.
    while True:
        try:
            try:
                await to_thread.run_sync(step, limiter=limiter)
                # `scorer.load` has succeeded. From now on, each step loads only the releases that were promoted since
                # the last step. If the rehearsal (an answer that the service makes for itself) failed, the step repeats
                # it.
                step = scorer.releases.watch_pointers if scorer.rehearsed else scorer.follow_pointers
            finally:
                await to_thread.run_sync(_share, scorer, workers, limiter=limiter)
        except Exception as error:  # noqa: BLE001  no error may end the process, because the next step may succeed
            if (failure := message(error)) != logged:  # Log each failure once, and not every second.
                _log.error("%s", failure, exc_info=None if isinstance(error, NotReadyError) else error)
                logged = failure
        if is_orphan():
            _log.error("the process that supervises the workers is gone, so this worker ends")
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(_POLL_S)


async def take_over(scorer: Scorer, workers: WorkerRegistry) -> None:
    """Wait until this worker is ready. Stop waiting earlier if no other worker is ready.

    A worker that replaces a dead worker accepts no connections before it can answer. Meanwhile, the other workers
    accept the connections.
    """
    while not scorer.is_ready and workers.has_other_ready():
        await asyncio.sleep(_HANDOVER_S)


def _share(scorer: Scorer, workers: WorkerRegistry) -> None:
    """Drop the loaded library indices if another worker has asked this worker to drop them. Then write this worker's
    state for the other workers.
    """
    if workers.is_asked_to_forget():
        scorer.releases.forget_indices()
    workers.update()
