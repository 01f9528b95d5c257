"""Publish trained heads as releases, and serve a head if the rules allow it."""

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from thumblab_core.faces.head import head_scope, save_trained_on
from thumblab_core.releases.release import FACE_HEAD, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.lab import inputs_digest
from thumblab_pipelines.people.matching.fitting import HeadConfig
from thumblab_pipelines.people.matching.labelled_faces import LabelledFaces
from thumblab_pipelines.people.matching.training import TrainedHead, train_head

_VERSION = 1
"""Version of the training code, which is part of the digest of the inputs. Raise this number if a change of the code
gives another head for the same inputs."""

_KEPT = 3
"""For each embedder, the number of heads whose releases are kept in addition to the served release."""


@dataclass(frozen=True)
class PublishedHead:
    """The release of a head. `served`: whether the release is served now. `reason`: why it is served or not served.

    If the newest release was made from the same inputs, no head was trained, and `trained` is None.
    """

    release: Release
    served: bool
    reason: str
    trained: TrainedHead | None


def train_and_publish(
    store: ReleaseStore,
    faces: LabelledFaces,
    embedder: str,
    config: HeadConfig | None = None,
    confirm: Callable[[], None] = lambda: None,
    run_id: str | None = None,
    train: Callable[[LabelledFaces, str, HeadConfig], TrainedHead] = train_head,
) -> PublishedHead:
    """Train a head, publish it, and serve it if `decide` allows it and no person holds an older head.

    Nothing is trained if the newest release was made from the same inputs. `confirm` is called before the head is
    published, under the lock that `remove_heads_of` also takes. `confirm` must raise an error if a face of `faces` was
    deleted in the meantime. So a head is not published if a person was forgotten while the head was trained on this
    person. `train`: trains the head, as `train_head` does. Raises `LabError` as `train_head` does.
    """
    config, scope = config or HeadConfig(), head_scope(embedder)
    inputs = _inputs(faces.with_enough(config.min_faces), embedder, config)
    release = store.unchanged(FACE_HEAD, scope, inputs)
    trained = None
    if release is None:
        trained = train(faces, embedder, config)
    with store.serving.changing(FACE_HEAD, scope):
        confirm()
        if trained is not None:
            release = _publish(store, trained, inputs, run_id)
        assert release is not None
        return _serve(store, release, trained)


def _publish(store: ReleaseStore, trained: TrainedHead, inputs: str, run_id: str | None) -> Release:
    salt = secrets.token_hex(16)
    people, head = set(trained.used.people), trained.head

    def write(folder: Path) -> None:
        head.save(folder)
        save_trained_on(folder, salt, people, trained.used.faces)

    info = {
        "embedder": head.embedder,
        "head": head.fingerprint,
        "dimension": head.matrix.shape[1],
        "mapped_dimension": head.matrix.shape[0],
        "people": len(people),
        "faces": len(trained.used.faces),
        "config": asdict(trained.config),
        "epochs": len(trained.fitted.losses),
        "best_epoch": trained.fitted.best_epoch,
        "verification": trained.verification.as_json(),
        "promotion": asdict(trained.decision),
        "salt": salt,
        "inputs": inputs,
    }
    return store.publish(FACE_HEAD, head_scope(head.embedder), write, info, run_id)


def _serve(store: ReleaseStore, release: Release, trained: TrainedHead | None) -> PublishedHead:
    """Serve a release if it may be served. Call this under the lock of the scope.

    If a person or `remove_heads_of` has moved the pointer away from a release, the release is not promoted again.
    """
    kind, scope = release.kind, release.scope
    promote, reason = bool(release.info["promotion"]["promote"]), str(release.info["promotion"]["reason"])
    hold = store.serving.held(kind, scope)
    if promote and hold is not None:
        reason = f"a person keeps an older head served ({hold}). {reason}"
    elif promote and release.release_id not in store.serving.promoted(kind, scope):
        store.serving.promote(release)
    served = store.serving.current_id(kind, scope) == release.release_id
    store.prune(kind, scope, keep=_KEPT)
    return PublishedHead(release, served, reason, trained)


def _inputs(used: LabelledFaces, embedder: str, config: HeadConfig) -> str:
    keys = json.dumps([list(used.faces), list(used.people), list(used.pictures)]).encode()
    vectors = np.ascontiguousarray(used.vectors)
    return inputs_digest(
        _VERSION, embedder, asdict(config), vectors.dtype.str, vectors.shape, blobs=[keys, vectors.data]
    )
