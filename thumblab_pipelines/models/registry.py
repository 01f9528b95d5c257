"""Read and change the lab's registered model in MLflow, which has a version for each release, and two aliases.

The aliases are `challenger` and `champion`. MLflow does not record who moved an alias. So the lab writes the version to
which it last moved the champion alias into a tag of the registered model. If the alias names another version than the
tag, a person has moved the alias.

If the lab crashes after moving the alias and before setting the tag, it seems as if a person had moved the alias. Even
so, the lab does nothing wrong, because it already serves the version that the alias names.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

CHALLENGER, CHAMPION = "challenger", "champion"
RELEASE_TAG = "thumblab.release_id"
_PROMOTION_TAG = "thumblab.promotion"
_CROWNED_TAG = "thumblab.champion_version"
"""A tag of the registered model in MLflow. Its value is the version to which the lab last moved the champion alias."""


class MlflowError(LabError):
    """Raised if MLflow does not answer, or if it refuses a request."""

    transient = True


@dataclass(frozen=True)
class Version:
    """A version of the registered model. `release_id` is None if the lab did not register this version."""

    number: str
    run_id: str
    release_id: str | None
    promotion: str | None = None
    """The last decision on whether the lab serves this version, with the reason."""


@dataclass(frozen=True)
class Champion:
    """The version that the champion alias names. `crowned`: the version to which the lab last moved the alias."""

    version: Version
    crowned: str | None


class ModelRegistry:
    """The versions of one registered model. Each method raises `MlflowError` when a request to the server fails."""

    def __init__(self, client: Any, model: str) -> None:
        self._client = client
        self._model = model

    def register(self, release: Release, uri: str, run_id: str, model_id: str, description: str) -> Version:
        """Register the model that a run has logged, as a new version of the registered model."""
        from mlflow.exceptions import MlflowException

        with _errors_translated():
            with suppress(MlflowException):  # The call fails if the registered model already exists.
                self._client.create_registered_model(
                    self._model, description="Ranks thumbnails of one channel; see docs/mlflow.md"
                )
            tags = {RELEASE_TAG: release.release_id}
            created = self._client.create_model_version(
                self._model, uri, run_id, tags=tags, description=description, model_id=model_id
            )
        return _version(created)

    def of_run(self, run_id: str) -> Version | None:
        """Return the version that was registered from a run, or None if the run has no version."""
        return self._found(f"run_id = '{run_id}'")

    def of_release(self, release_id: str) -> Version | None:
        """Return the newest version of a release, or None if the release has no version."""
        return self._found(f"name = '{self._model}' AND tags.`{RELEASE_TAG}` = '{release_id}'")

    def set_challenger(self, version: Version, release: Release) -> None:
        """Move the `challenger` alias to the version.

        If the version lacks the tag with its release id, set the tag too. The process may have crashed earlier, before
        it set the tag.
        """
        with _errors_translated():
            if version.release_id is None:
                self._client.set_model_version_tag(self._model, version.number, RELEASE_TAG, release.release_id)
            self._client.set_registered_model_alias(self._model, CHALLENGER, version.number)

    def champion(self) -> Champion | None:
        """Return the version that the `champion` alias names, or None if the alias is not set."""
        with _errors_translated():
            models = self._client.search_registered_models(f"name = '{self._model}'")
            number = models[0].aliases.get(CHAMPION) if models else None
            if number is None:
                return None
            version = _version(self._client.get_model_version(self._model, str(number)))
        return Champion(version, models[0].tags.get(_CROWNED_TAG))

    def set_champion(self, version: Version) -> None:
        """Move the `champion` alias to the version, and record that the lab moved it."""
        with _errors_translated():
            self._client.set_registered_model_alias(self._model, CHAMPION, version.number)
        self.record_champion(version)

    def record_champion(self, version: Version) -> None:
        """Record in MLflow that the lab serves this version. The `champion` alias must already name this version."""
        with _errors_translated():
            self._client.set_registered_model_tag(self._model, _CROWNED_TAG, version.number)

    def set_promotion(self, version: Version, decision: str) -> None:
        """Record the decision on whether a version is served, as a tag of the version and of its run."""
        with _errors_translated():
            self._client.set_model_version_tag(self._model, version.number, _PROMOTION_TAG, decision)
            self._client.set_tag(version.run_id, _PROMOTION_TAG, decision)

    def recovered(self, version: Version, store: ReleaseStore, kind: str, scope: str) -> Release:
        """Return the release of a version. If the release was deleted from the release store, restore the release from
        the files in MLflow.

        Raises `LabError` when the lab did not register the version, when its files are missing, or when they differ
        from the files of the published release. The error is transient if MLflow may have the files later.
        """
        if version.release_id is None:
            raise LabError(
                f"version {version.number} of {self._model} was not registered by the lab; choose another version"
            )
        with suppress(LabError):
            return store.get(kind, scope, version.release_id)
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            try:
                with _errors_translated():
                    source = f"models:/{self._model}/{version.number}"
                    downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=folder))
                copies = [path.parent for path in downloaded.rglob("manifest.json")]
                if len(copies) != 1:
                    raise LabError(f"{source} in MLflow has {len(copies)} releases instead of one")
                return store.restore(kind, scope, version.release_id, copies[0])
            except LabError as error:
                name = f"{kind}/{scope}/{version.release_id}"
                problem = f"{name} was deleted from the release store and cannot be fetched from MLflow ({error})"
                if error.transient and not _missing(error.__cause__):
                    raise MlflowError(f"{problem}; try again later, or choose another version") from error
                raise LabError(f"{problem}; choose another version") from error

    def _found(self, filter_string: str) -> Version | None:
        """Return the newest version of this model that the filter selects, or None if it selects no version."""
        with _errors_translated():
            selected = self._client.search_model_versions(filter_string)
        versions = [version for version in selected if version.name == self._model]
        return _version(max(versions, key=lambda version: int(version.version))) if versions else None


def _version(version: Any) -> Version:
    tags = version.tags
    return Version(str(version.version), version.run_id, tags.get(RELEASE_TAG), tags.get(_PROMOTION_TAG))


def _missing(error: BaseException | None) -> bool:
    """Return whether MLflow answered that the requested object does not exist. In this case, a new try would fail too."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status == 404 or getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def _errors_translated() -> Iterator[None]:
    """Turn errors of MLflow's client in the `with` block into `MlflowError`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # The HTTP client of MLflow raises OSError.
        raise MlflowError(f"MLflow: {str(error)[:300]}; see the log of its server") from error
