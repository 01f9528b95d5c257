"""Test what `thumblab up` says at its start about an image encoder that cannot be loaded."""

import os
import time
from pathlib import Path

import pytest

from thumblab_cli.doctor.encoder_at_start import EncoderCheck, encoder_problem
from thumblab_core.settings import Settings


def waited_for(check: EncoderCheck, seconds: float = 120.0) -> str | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if problem := check.result():
            return problem
        time.sleep(0.1)
    return None


def test_a_missing_file_of_the_encoder_is_named_with_what_it_means_for_a_creator(tmp_path: Path) -> None:
    problem = encoder_problem(Settings(data_dir=tmp_path, image_encoder="onnx:/nowhere/tower.onnx"))
    assert str(problem).startswith("onnx:/nowhere/tower.onnx lacks /nowhere/tower.onnx and /nowhere/tower.json, so no ")
    assert "no channel learnt. To mend this, put the missing file into this folder" in str(problem)
    assert encoder_problem(Settings(data_dir=tmp_path, image_encoder="builtin")) is None


@pytest.mark.slow
def test_weights_that_are_not_here_are_named_while_the_hub_cannot_be_reached(tmp_path: Path) -> None:
    environment = {
        "THUMBLAB_IMAGE_ENCODER": "open_clip:ViT-L-14/openai",
        "THUMBLAB_DATA_DIR": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "no_proxy": "127.0.0.1",
    }
    check = EncoderCheck(Settings(data_dir=tmp_path, image_encoder=environment["THUMBLAB_IMAGE_ENCODER"]), environment)
    try:
        problem = str(waited_for(check))
        assert problem.startswith("the weights of open_clip:ViT-L-14/openai are not on this machine; the first run ")
        assert "Now the hub http://127.0.0.1:9 cannot be reached: ConnectError, so no channel can be learnt." in problem
        assert check.result() is None, "the problem is said once"
    finally:
        check.stop()


def test_a_check_that_still_runs_ends_with_the_lab(tmp_path: Path) -> None:
    check = EncoderCheck(Settings(data_dir=tmp_path, image_encoder="onnx:/nowhere/tower.onnx"), {})
    assert check._process is not None
    number = check._process.pid
    check.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_check_that_crashes_is_not_taken_for_a_good_encoder(tmp_path: Path) -> None:
    chosen = Settings(data_dir=tmp_path, image_encoder="onnx:/nowhere/tower.onnx")
    check = EncoderCheck(chosen, {"THUMBLAB_IMAGE_CACHE_GIB": "none"})
    try:
        assert (
            waited_for(check, 20) == "the image encoder could not be checked (exit 1); to see why, run: thumblab doctor"
        )
    finally:
        check.stop()
