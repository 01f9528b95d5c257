"""Test that the module `openvino_runtime` prevents three faults of OpenVINO.

With this module, a signal does not crash a process that has destroyed its OpenVINO models. The memory of a model does
not grow when the model gets an input of a new shape. If several processes have a limit of threads, they do not all
compute on the same few cores.
"""

import os
import subprocess
import sys

import pytest

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
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""

SHAPES = """
import psutil
import numpy as np
from thumblab_core.encoders.openvino_runtime import ov
from openvino import opset13

pictures = layers = opset13.parameter([-1, 8, -1, -1], np.float32)
for _ in range(12):
    weights = opset13.constant(np.ones((8, 8, 3, 3), np.float32))
    layers = opset13.relu(opset13.convolution(layers, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
request = ov.Core().compile_model(ov.Model([layers], [pictures], "small"), "CPU").create_infer_request()
used = []
for shape in range(600):
    request.infer([np.zeros((1, 8, 16 + shape % 20, 16 + shape // 20), np.float32)])
    used.append(psutil.Process().memory_info().rss)
print((used[599] - used[349]) >> 20)
"""

LIMITED = """
import numpy as np
from thumblab_core.encoders.openvino_runtime import ov
from openvino import opset13

pictures = opset13.parameter([1, 4], np.float32)
compiled = ov.Core().compile_model(ov.Model([opset13.relu(pictures)], [pictures], "small"), "CPU")
print(compiled.get_property("INFERENCE_NUM_THREADS"), compiled.get_property("ENABLE_CPU_PINNING"))
"""


def test_a_process_with_a_limit_of_threads_is_not_bound_to_the_cores_of_other_processes() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.split() == ["1", "False"], done.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_every_new_input_shape() -> None:
    done = subprocess.run([sys.executable, "-c", SHAPES], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # The script prints by how many MiB its process grows. The script would print about 60 if OpenVINO kept data of
    # every shape.
    assert int(done.stdout) < 15


def test_signals_are_handled_after_models_are_destroyed_in_the_order_of_creation() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
