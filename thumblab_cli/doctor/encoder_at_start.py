"""Check, while `thumblab up` starts, whether the image encoder can be loaded.

The lab loads the encoder only at its first use. Without this check, a user would see the fault only at the first
refresh or the first import.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from thumblab_cli.doctor.encoders import image_encoder
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Level
from thumblab_cli.doctor.machine import Machine
from thumblab_core.settings import Settings, settings


class EncoderCheck:
    """A check of the image encoder, in its own process. The process of `thumblab up` would never free the memory that
    PyTorch takes."""

    def __init__(self, chosen: Settings, environment: Mapping[str, str]) -> None:
        """`environment`: variables that the lab's servers get in addition to those of this process.

        For the encoder `builtin`, no process is started, because this encoder needs no weights.
        """
        self._process: subprocess.Popen[str] | None = None
        if chosen.image_encoder != "builtin":
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def result(self) -> str | None:
        """Return what is wrong with the encoder or with the check. Only the first call after the check returns it.

        Return None if nothing is wrong or the check still runs.
        """
        if self._process is None or self._process.poll() is None:
            return None
        process, self._process = self._process, None
        said = process.communicate()[0].strip()
        if process.returncode:
            return (
                f"the image encoder could not be checked (exit {process.returncode}); to see why, run: thumblab doctor"
            )
        return said or None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def encoder_problem(chosen: Settings) -> str | None:
    """Return why the image encoder cannot be loaded now, and what to do, or None if its weights are on this machine.

    If the weights are missing, the hub is asked whether it can be reached.
    """
    for finding in image_encoder(Examined(chosen, Machine.this())):
        if finding.level is Level.WARNING:  # The hub may have the weights.
            from thumblab_core.encoders.hub import hub_problem

            problem = hub_problem()
            later = "" if problem is None else f" Now {problem}, so no channel can be learnt."
            return f"{finding.what}.{later} To mend this, {finding.mend}."
        if finding.level is Level.ERROR:
            return f"{finding.what}, so no picture can be encoded and no channel learnt. To mend this, {finding.mend}."
    return None


if __name__ == "__main__":
    print(encoder_problem(settings()) or "")
