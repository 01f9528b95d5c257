"""Import the lab's module that declares torchvision's operators, and then open_clip. Both imports must work with any
build of PyTorch.
"""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_open_clip_can_be_imported_with_the_installed_torch() -> None:
    # With a build of PyTorch for CUDA, torchvision loads its own compiled operators. The lab must not declare these
    # operators a second time, because a second declaration ends the process.
    script = "import thumblab_core.encoders.torchvision_operators, open_clip, torch; print(torch.ops.torchvision.nms)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "nms" in done.stdout
