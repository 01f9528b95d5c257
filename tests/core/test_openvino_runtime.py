"""Promises of OpenVINO as the lab uses it."""

import subprocess
import sys

SCRIPT = """
import gc, signal
import numpy as np
from thumblab_core.encoders.openvino_runtime import ov
from openvino import opset13

def compiled():
    pictures = opset13.parameter([1, 4], np.float32)
    return ov.Core().compile_model(ov.Model([opset13.relu(pictures)], [pictures], "small"), "CPU")

first, second = compiled(), compiled()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda *told: print("heard"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_heard_after_models_have_ended_in_the_order_in_which_they_began() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
