"""Stop a training of a ranker and start it again. Test that it ends with the same files as a training without a stop."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from test_train import Plant, files

from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders, TrainingStoppedError
from thumblab_pipelines.training.train import train


@pytest.mark.slow
def test_a_training_stopped_twice_ends_with_the_same_files(plant: Plant, tmp_path: Path) -> None:
    """Stop the training twice: first while it trains the model, and then during cross-validation."""
    data, config = plant(), TrainConfig(epochs=8, swa_start=5, patience=0)

    def stopping(what: str, at: int) -> Callable[[str, Epoch], None]:
        def listen(heard: str, epoch: Epoch) -> None:
            if what in heard and epoch.epoch == at:
                signal.raise_signal(signal.SIGTERM)

        return listen

    folders = TrainingFolders(tmp_path / "state")
    for what, at in (("training", 3), ("(2 of 3)", 6)):
        with pytest.raises(TrainingStoppedError, match=f"stopped in epoch {at + 2} of 8"):
            train(data, config, stopping(what, at), folders)
    heard: list[tuple[str, int]] = []
    resumed = train(data, config, lambda what, epoch: heard.append((what, epoch.epoch)), folders)
    assert [epoch for what, epoch in heard if "(2 of 3)" in what] == [7]
    assert files(resumed, tmp_path / "resumed") == files(train(data, config), tmp_path / "whole")
