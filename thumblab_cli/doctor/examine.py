"""Run the checks of the doctor in order, each with a time limit. Remove secrets from the results."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from thumblab_cli.doctor import (
    alerts,
    clock,
    dagster,
    database,
    encoders,
    folder,
    pictures,
    proxy,
    releases,
    servers,
    system,
    youtube,
)
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, Level, skipped, warning
from thumblab_core.errors import LabError
from thumblab_core.keys.secret_texts import secret_texts, without_secrets

_SECONDS = 20.0


@dataclass(frozen=True)
class Check:
    """A check of the doctor: its name, its function, and the seconds that it may take."""

    name: str
    function: Callable[[Examined], Iterable[Finding]]
    seconds: float = _SECONDS


CHECKS = (
    Check("python", system.python),
    Check("disk", system.disk),
    Check("memory", system.memory),
    Check("servers", servers.servers),
    Check("folder", folder.folder),
    Check("database", database.database),
    Check("image encoder", encoders.image_encoder, encoders.SECONDS),
    Check("title encoder", encoders.title_encoder),
    Check("face model", encoders.face_model),
    Check("API key", youtube.api_key),
    Check("quota", youtube.quota),
    Check("clock", clock.clock),
    Check("proxy", proxy.proxy),
    Check("daemon", dagster.daemon),
    Check("schedules", dagster.schedules),
    Check("refreshes", dagster.refreshed),
    Check("alerts", alerts.alerts),
    Check("pictures", pictures.pictures),
    Check("releases", releases.releases, releases.SECONDS),
    Check("holds", releases.holds),
    Check("model", releases.model),
)


@dataclass(frozen=True)
class Result:
    """The findings of a check, and the seconds that the check took."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float

    def has(self, level: Level) -> bool:
        return any(finding.level is level for finding in self.findings)


def examine(examined: Examined, checks: Iterable[Check] = CHECKS) -> Iterator[Result]:
    """Yield the result of each check as soon as the check has ended. If a check fails, the next checks still run."""
    secrets = secret_texts(examined.settings, examined.machine.environment)
    for check in checks:
        started = time.monotonic()
        findings = tuple(_without(secrets, finding) for finding in _findings(check, examined))
        yield Result(check.name, findings, time.monotonic() - started)


def _findings(check: Check, examined: Examined) -> list[Finding]:
    found: list[Finding] = []
    ended = threading.Event()

    def run() -> None:
        try:
            # Add the findings one by one, so that the findings before an error or before the time limit are kept.
            for finding in check.function(examined):
                found.append(finding)  # noqa: PERF402
        except ModuleNotFoundError as problem:
            found.append(skipped(f"the package {problem.name} is not installed; see the check of Python"))
        except Exception as problem:  # noqa: BLE001  a fault of one check must not stop the others
            reason = str(problem) if isinstance(problem, LabError) else f"{type(problem).__name__}: {problem}"
            found.append(warning(f"this check failed: {' '.join(reason.split())[:300]}", "report this as a bug"))
        finally:
            ended.set()

    # After the time limit, the thread keeps running. It cannot be interrupted if a system call hangs, for example on a
    # network file system.
    threading.Thread(target=run, name=f"check {check.name}", daemon=True).start()
    if ended.wait(check.seconds):
        return found
    return [
        *found,
        warning(f"no result within {check.seconds:.0f} s", "run thumblab doctor again when the machine is idle"),
    ]


def _without(secrets: Sequence[str], finding: Finding) -> Finding:
    mend = finding.mend and without_secrets(finding.mend, secrets)
    return replace(finding, what=without_secrets(finding.what, secrets), mend=mend)
