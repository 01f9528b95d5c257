"""Train a matching head on labelled faces, and decide whether it may be served.

A head cannot be judged on people from whom it has learnt. So the figures of a head come from a cross-fitting: ten
further heads are trained in the same way. Each of them is trained on a part of the people, and judged on the remaining
people.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from thumblab_core.faces.head import FaceHead, head_scope
from thumblab_pipelines.people.matching.cross_fitting import HEADS, cross_fit
from thumblab_pipelines.people.matching.fitting import FittedHead, HeadConfig, fit_head
from thumblab_pipelines.people.matching.labelled_faces import LabelledFaces
from thumblab_pipelines.people.matching.verification import Verification, verify
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.ray_cluster.tasks import IN_THIS_PROCESS, Tasks

MOST_LOSS = 0.01
"""A head may be served only if it lowers the true accept rate (TAR) by at most this much. The upper end of the 95 %
interval of this loss is compared with this number.
"""

_NO_GAIN = (
    "Nothing is wrong: the head did not separate the held-out people better than the face vectors without a head, so this "
    "head is not used. More people with a name, or more labelled faces of each person, may help"
)


@dataclass(frozen=True)
class Decision:
    """Whether a head may be served, and why."""

    promote: bool
    reason: str


@dataclass(frozen=True)
class TrainedHead:
    """A trained head, with all facts that its release records.

    `used`: the faces of the people that had enough faces. `seconds`: how long training and judging took.
    """

    head: FaceHead
    fitted: FittedHead
    used: LabelledFaces
    config: HeadConfig
    verification: Verification
    decision: Decision
    seconds: float


def train_head(
    faces: LabelledFaces,
    embedder: str,
    config: HeadConfig | None = None,
    progress: Progress = silent,
    tasks: Tasks = IN_THIS_PROCESS,
) -> TrainedHead:
    """Train a head on labelled faces, and judge the head. `embedder`: the fingerprint of the embedder of the vectors.

    The same arguments give the same head. The order of the faces does not matter. Raises `LabError` if fewer than five
    people have `config.min_faces` faces, or if no pair of faces can be judged.

    `progress` is called before each epoch, with the number of finished epochs of all heads. If a head stops early, its
    remaining epochs count as finished. `tasks`: where the bootstrap of the figures is computed.
    """
    head_scope(embedder)
    config, started = config or HeadConfig(), time.monotonic()
    used = faces.with_enough(config.min_faces)
    coded = used.coded()
    epochs = config.epochs

    def before_epoch(head: int, epoch: int) -> None:
        progress("training, epochs of all heads", head * epochs + epoch, (HEADS + 1) * epochs)

    verification = verify(cross_fit(coded, config, before_epoch), config.seed, tasks)
    fitted = fit_head(coded, config, config.seed, partial(before_epoch, HEADS))
    head = FaceHead(embedder, fitted.matrix.astype(np.float32))
    decision = decide(verification, fitted.best_epoch)
    return TrainedHead(head, fitted, used, config, verification, decision, time.monotonic() - started)


def decide(verification: Verification, best_epoch: int) -> Decision:
    """Decide whether a head may be served. All of these rules must hold:

    1. The head is not the identity: after some epoch, it separated the held-out people better than the identity does.
    2. Verification with the head is better than chance: the lower end of the AUC's interval is above 0.5.
    3. The true accept rate (TAR, see `verification`) with the head is not lower than without the head. The upper end of
       the 95 % interval of the loss of TAR (paired bootstrap over people) is at most 0.01.
    """
    tar, auc = verification.tar, verification.auc
    if best_epoch == 0:
        return Decision(False, _NO_GAIN)
    if auc.after.low <= 0.5:
        return Decision(
            False, f"verification with the head is not better than chance (ROC AUC {auc.after}); check the labels"
        )
    figures = f"TAR {tar.before.value:.4f} without and {tar.after.value:.4f} with the head, difference {tar.difference}"
    if tar.difference.value < 0:
        return Decision(False, f"verification of unseen people gets worse: {figures}")
    if -tar.difference.low > MOST_LOSS:
        return Decision(False, f"verification of unseen people may get worse by more than {MOST_LOSS}: {figures}")
    return Decision(True, f"verification of unseen people does not get worse: {figures}")
