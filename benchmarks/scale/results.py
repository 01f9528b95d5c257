"""Keep the measurements of the benchmark in a file. Compute the exponent by which the time of each stage grows with the
size. Compare the exponents and the memory with their limits.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

from benchmarks.scale.stage import Measurement

LARGEST_EXPONENT = 1.1
LARGEST_MEMORY = 6 * 10**9
"""The peak memory that a stage may use, in bytes. A stage that uses more is reported as a fault."""
_LEAST_SECONDS = 0.5
"""A fit uses only sizes that take at least this many seconds of processor time.

Most of a shorter time would be the start of the program.
"""


@dataclass
class Results:
    """The measurements of the stages, by the name of the stage and by size. `path` is the file that keeps the
    measurements.
    """

    path: Path
    measured: dict[str, dict[int, Measurement]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Return the measurements in the file `path`. If there is no file, return no measurements."""
        if not path.exists():
            return cls(path)
        content = json.loads(path.read_text())
        return cls(path, {name: {int(n): Measurement(**m) for n, m in of.items()} for name, of in content.items()})

    def add(self, stage: str, size: int, measurement: Measurement) -> None:
        """Add a measurement and write the file. If the process is stopped meanwhile, the old file stays complete."""
        self.measured.setdefault(stage, {})[size] = measurement
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.as_json(), indent=1))
        temporary.replace(self.path)

    def has(self, stage: str, size: int) -> bool:
        """Return whether the stage was measured at this size without an error."""
        found = self.measured.get(stage, {}).get(size)
        return found is not None and found.error is None

    def of(self, stage: str) -> dict[int, Measurement]:
        """Return the measurements of a stage by size, the smallest size first."""
        return dict(sorted(self.measured.get(stage, {}).items()))

    def as_json(self) -> dict[str, dict[str, object]]:
        return {name: {str(n): m.as_json() for n, m in sorted(of.items())} for name, of in self.measured.items()}


def exponent(seconds: dict[int, float]) -> float | None:
    """Return the exponent b of the fit `seconds = a * size**b`, by least squares of the logarithms.

    Sizes that take less than `_LEAST_SECONDS` are left out. If fewer than two sizes remain, return None.
    """
    counted = {size: value for size, value in seconds.items() if value >= _LEAST_SECONDS}
    if len(counted) < 2:
        return None
    return linear_regression([math.log(size) for size in counted], [math.log(s) for s in counted.values()]).slope


def last_exponent(seconds: dict[int, float]) -> float | None:
    """Return the result of `exponent` for only the two largest sizes. At these sizes, the start of the program takes
    the smallest share of the time.
    """
    return exponent({size: seconds[size] for size in sorted(seconds)[-2:]})


def faults(measured: dict[int, Measurement]) -> list[str]:
    """Return a text for each limit that a stage's measurements exceed, and for each error of the stage."""
    found = [f"{size:,}: {m.error}" for size, m in measured.items() if m.error is not None]
    whole = {size: m for size, m in measured.items() if m.error is None}
    fitted = exponent({size: m.cpu for size, m in whole.items()})
    if fitted is not None and fitted > LARGEST_EXPONENT:
        found.append(f"exponent {fitted:.2f}")
    found += [f"{size:,}: {m.peak / 1e9:.1f} GB" for size, m in whole.items() if m.peak > LARGEST_MEMORY]
    return found
