"""All stages of this benchmark, in the order in which they run."""

from benchmarks.scale import vectors, videos
from benchmarks.scale.stage import Stage

STAGES: tuple[Stage, ...] = (*vectors.STAGES, *videos.STAGES)


def named(name: str) -> Stage:
    """Return the stage with the name `name`."""
    return next(stage for stage in STAGES if stage.name == name)


def chosen(names: list[str]) -> list[Stage]:
    """Return the stages whose name or family is in `names`. If `names` is empty, return all stages.

    Raises ValueError if a name is unknown.
    """
    known = {stage.name for stage in STAGES} | {stage.family for stage in STAGES}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no stage or family is called {unknown[0]!r}; use one of {', '.join(sorted(known))}")
    return [stage for stage in STAGES if not names or stage.name in names or stage.family in names]
