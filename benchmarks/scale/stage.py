"""Define a stage of the benchmark, and the measurement of one run of a stage."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FAMILIES = {"vectors": (10_000, 100_000, 1_000_000), "videos": (2_000, 20_000, 200_000)}
"""The sizes at which the stages of a family are measured, by the name of the family."""

Work = Callable[[int, Path], Mapping[str, float] | None]
"""A function that takes a size and a folder. The function may return figures, which are shown with the measurement."""


def nothing(size: int, folder: Path) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Stage:
    """A step of the lab that is measured at several sizes. The module docstring of the package describes the fields."""

    name: str
    family: str
    run: Work
    prepare: Work = nothing

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"stage {self.name}: {self.family!r} is no family; use one of {', '.join(FAMILIES)}")


@dataclass(frozen=True)
class Measurement:
    """The measurement of one run of a stage.

    `cpu` is the processor time in seconds, in user and system mode, of the process and of all its children. `wall` is
    the time on the clock in seconds. `memory` is the largest resident memory of the process, in bytes. `children` is
    the largest resident memory of any of its children, in bytes. `figures` are the figures that the stage returned.
    `error` is the last line of the error of a stage that failed, or None.
    """

    cpu: float = 0.0
    wall: float = 0.0
    memory: int = 0
    children: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def peak(self) -> int:
        """The peak memory of the process plus the peak memory of its largest child, in bytes."""
        return self.memory + self.children

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
