"""Write the logs of a training for TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thumblab_pipelines.training.config import Epoch


@contextmanager
def training_log(folder: Path | None, first: int) -> Iterator[Callable[[Epoch, float], None]]:
    """Yield a function that logs an epoch and its learning rate to `folder`. If `folder` is None, the function logs
    nothing.

    `first`: the number of the first epoch of this run. An earlier run that was stopped may already have logged this
    epoch or later epochs. The entries that the earlier run logged for these epochs are discarded.
    """
    if folder is None:
        yield lambda epoch, learning_rate: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=first) as writer:

        def write(epoch: Epoch, learning_rate: float) -> None:
            values = {
                "loss/pair": epoch.pair_loss,
                "loss/absolute": epoch.absolute_loss,
                "loss/auxiliary": epoch.auxiliary_loss,
                "learning_rate": learning_rate,
                "validation/auc": epoch.validation_auc,
            }
            for name, value in values.items():
                if value is not None:
                    writer.add_scalar(name, value, epoch.epoch)
            writer.flush()

        yield write
