"""Find and end the silence that a test leaves in the loggers of its process.

In one run of the suite, eight tests that read the log found it empty, because a test before them had changed the state
of the process. Which test did so is not known. `conftest.py` now warns with the name of such a test.
"""

import logging

_DISABLE, _LEVEL = "logging.disable", "the level of the root logger"


def silenced_logging() -> set[str]:
    """Return what keeps warnings of the lab from the root logger: names of loggers, `logging.disable`, or a level."""
    root = logging.getLogger()
    loggers = {
        name: logger for name, logger in [*root.manager.loggerDict.items()] if isinstance(logger, logging.Logger)
    }
    silenced = {
        name
        for name, logger in loggers.items()
        if name.startswith("thumblab")
        and (logger.disabled or not logger.propagate or logger.level > logging.WARNING or logger.filters)
    }
    silenced |= {_DISABLE} if root.manager.disable >= logging.WARNING else set()
    return silenced | ({_LEVEL} if root.level > logging.WARNING else set())


def end_silence(changes: set[str]) -> None:
    """Undo the `changes` that `silenced_logging` returned."""
    if _DISABLE in changes:
        logging.disable(logging.NOTSET)
    if _LEVEL in changes:
        logging.getLogger().setLevel(logging.WARNING)
    for name in changes - {_DISABLE, _LEVEL}:
        logger = logging.getLogger(name)
        logger.disabled, logger.propagate = False, True
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()
