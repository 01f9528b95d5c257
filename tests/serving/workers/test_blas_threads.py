"""Test that the service computes products of matrices in one thread."""

import os
import subprocess
import sys

import pytest

STARTED = """
import json, sys, uvicorn
from thumblab_serving.__main__ import main

def run(*_, **__):
    import numpy
    from threadpoolctl import threadpool_info
    print(json.dumps([pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]))

uvicorn.run = run
sys.argv = ["thumblab_serving", "--workers", "1"]
main()
"""


@pytest.mark.parametrize(("given", "threads"), [({}, "[1]"), ({"OPENBLAS_NUM_THREADS": "2"}, "[2]")])
def test_products_of_matrices_use_one_thread_unless_a_person_sets_more(given: dict[str, str], threads: str) -> None:
    left = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, env=left | given)
    assert done.stdout.strip() == threads, done.stderr
