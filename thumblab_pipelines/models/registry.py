"""MLflow's registered model: a version per release, the aliases `challenger` and `champion`, and who moved the latter.

MLflow does not say who moved an alias. So the lab notes on the registered model the version that it put the champion alias
on itself, each time right after doing so: an alias that stands elsewhere was moved by a person. A crash between the two
leaves an alias that seems to be a person's and stands on what is served already, which asks for nothing.
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


class MlflowError(LabError):
    """MLflow does not answer, or refuses."""

    transient = True


@dataclass(frozen=True)
class Version:
    """A registered version. `release_id` is None where the lab did not register it."""

    number: str
    run_id: str
    release_id: str | None
    promotion: str | None = None
    """What was last said of promoting it."""


@dataclass(frozen=True)
class Champion:
    """The version that the alias names, and the number of the one that the lab itself last put it on."""

    version: Version
    crowned: str | None


class ModelRegistry:
    """The versions of one registered model. Every method raises `MlflowError` when the server does not do its part."""

    def __init__(self, client: Any, model: str) -> None:
        self._client = client
        self._model = model

    def register(self, release: Release, uri: str, run_id: str, model_id: str, description: str) -> Version:
        """A new version for what a run has logged."""
        from mlflow.exceptions import MlflowException

        with _answered():
            with suppress(MlflowException):  # it is there already
                self._client.create_registered_model(
                    self._model, description="Ranks thumbnails of one channel; see docs/mlflow.md"
                )
            tags = {RELEASE_TAG: release.release_id}
            made = self._client.create_model_version(
                self._model, uri, run_id, tags=tags, description=description, model_id=model_id
            )
        return _version(made)

    def of_run(self, run_id: str) -> Version | None:
        """The version that was registered of a run."""
        return self._found(f"run_id = '{run_id}'")

    def of_release(self, release_id: str) -> Version | None:
        """The newest version of a release."""
        return self._found(f"name = '{self._model}' AND tags.`{RELEASE_TAG}` = '{release_id}'")

    def challenge(self, version: Version, release: Release) -> None:
        """Let `challenger` name the version of the release; one that was registered without its tag is given it."""
        with _answered():
            if version.release_id is None:
                self._client.set_model_version_tag(self._model, version.number, RELEASE_TAG, release.release_id)
            self._client.set_registered_model_alias(self._model, CHALLENGER, version.number)

    def champion(self) -> Champion | None:
        """What `champion` names; None when it names nothing."""
        with _answered():
            found = self._client.search_registered_models(f"name = '{self._model}'")
            number = found[0].aliases.get(CHAMPION) if found else None
            if number is None:
                return None
            version = _version(self._client.get_model_version(self._model, str(number)))
        return Champion(version, found[0].tags.get(_CROWNED_TAG))

    def crown(self, version: Version) -> None:
        """Let `champion` name the version, and note that it was the lab who did so."""
        with _answered():
            self._client.set_registered_model_alias(self._model, CHAMPION, version.number)
        self.acknowledge(version)

    def acknowledge(self, version: Version) -> None:
        """Note that the service has followed the alias to this version."""
        with _answered():
            self._client.set_registered_model_tag(self._model, _CROWNED_TAG, version.number)

    def tell(self, version: Version, said: str) -> None:
        """Write on the version and on its run what became of it."""
        with _answered():
            self._client.set_model_version_tag(self._model, version.number, _PROMOTION_TAG, said)
            self._client.set_tag(version.run_id, _PROMOTION_TAG, said)

    def recovered(self, version: Version, store: ReleaseStore, kind: str, scope: str) -> Release:
        """The release of a version; one that was pruned is fetched from the files that its run has logged.

        Raises `LabError` when it is not the lab's, or when what MLflow has is not the release that was published.
        """
        if version.release_id is None:
            raise LabError(
                f"version {version.number} of {self._model} was not registered by the lab; choose another one"
            )
        with suppress(LabError):
            return store.get(kind, scope, version.release_id)
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            try:
                with _answered():
                    source = f"models:/{self._model}/{version.number}"
                    there = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=folder))
                copies = [path.parent for path in there.rglob("manifest.json")]
                if len(copies) != 1:
                    raise LabError(f"MLflow holds {len(copies)} releases in {source}")
                return store.restore(kind, scope, version.release_id, copies[0])
            except LabError as error:
                name = f"{kind}/{scope}/{version.release_id}"
                said = f"{name} was removed from the release store and cannot be had from MLflow ({error})"
                if error.transient and not _missing(error.__cause__):
                    raise MlflowError(f"{said}; try again later, or choose another version") from error
                raise LabError(f"{said}; choose another version") from error

    def _found(self, filter_string: str) -> Version | None:
        with _answered():
            found = self._client.search_model_versions(filter_string)
        versions = [version for version in found if version.name == self._model]
        return _version(max(versions, key=lambda version: int(version.version))) if versions else None


def _version(found: Any) -> Version:
    return Version(str(found.version), found.run_id, found.tags.get(RELEASE_TAG), found.tags.get(_PROMOTION_TAG))


def _missing(error: BaseException | None) -> bool:
    """Whether MLflow answered that it has no such thing, which later it has not either."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status == 404 or getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def _answered() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # the second are those of its HTTP client
        raise MlflowError(f"MLflow: {str(error)[:300]}; see its log") from error
