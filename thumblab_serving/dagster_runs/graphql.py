"""Send queries to the GraphQL interface of the lab's Dagster.

No message contains the address of Dagster, because the address in the settings may contain a password.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from thumblab_core.errors import LabError
from thumblab_core.running import running_lab
from thumblab_core.settings import Settings

REPOSITORY = {"repositoryLocationName": "thumblab", "repositoryName": "__repository__"}
"""The names of the code location and the repository that have the lab's jobs and schedules in Dagster. `workspace.yaml`
and `thumblab up` give the code location the same name.
"""

_TIMEOUT = httpx.Timeout(30, connect=2)
"""Seconds within which Dagster has to answer. To start a run, Dagster asks its code server, which may be slow."""

_MOST_BYTES = 16 * 2**20
"""Maximum number of bytes of an answer of Dagster."""


class DagsterError(LabError):
    """The error that is raised if Dagster answers with an error. The message is a sentence."""


class NoDagsterError(DagsterError):
    """The error that is raised if Dagster gives no usable answer. Dagster may answer later."""

    transient = True


class FailingDagsterError(NoDagsterError):
    """The error that is raised if Dagster runs, but fails to answer, for example because its database does not run."""


class DagsterGraphql:
    """A client for the GraphQL interface. All its methods must run in one event loop. Close it after use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: httpx.AsyncClient | None = None

    @property
    def address(self) -> str | None:
        """The address of the lab's Dagster, or None if no Dagster of this lab is known.

        If the setting `dagster_url` is set, its value is the address. Otherwise, the address is that of the Dagster
        that a running `thumblab up` has started. The default address is not used, because the Dagster of another lab
        may listen there.
        """
        if "dagster_url" in self._settings.model_fields_set:
            return self._settings.dagster_url.rstrip("/")
        running = running_lab(self._settings.data_dir)
        return None if running is None else running.dagster.rstrip("/")

    @property
    def page(self) -> str | None:
        """The address at which a browser opens the lab's Dagster, without a user name or a password. The address is None
        if no Dagster of this lab is known, or if the address cannot be read.

        In containers, a browser does not reach `address`, so the setting `alert_dagster_url` names another address.
        """
        address = self.address
        try:
            url = httpx.URL(self._settings.alert_dagster_url or address or "")
        except httpx.InvalidURL:
            return None
        return None if address is None else str(url.copy_with(userinfo=b"")).rstrip("/")

    def page_of_run(self, run_id: str) -> str | None:
        """Return the address of the run's page in Dagster's UI, without a user name or a password."""
        page = self.page
        return None if page is None else f"{page}/runs/{run_id}"

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the data of Dagster's answer.

        Raises `NoDagsterError` if Dagster does not answer, `FailingDagsterError` if it answers with an error of its own,
        and `DagsterError` if it refuses the query.
        """
        address = self.address
        if address is None:
            raise NoDagsterError("the Dagster of this lab is not running")
        if self._client is None:
            # Dagster is part of the lab, so the client ignores the environment's proxy settings and follows no
            # redirects.
            self._client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT)
        body = {"query": query, "variables": dict(variables or {})}
        try:
            async with (
                asyncio.timeout(_TIMEOUT.read),
                self._client.stream("POST", f"{address}/graphql", json=body) as reply,
            ):
                content = bytearray()
                async for chunk in reply.aiter_bytes():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        raise DagsterError("the answer of Dagster is too long")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NoDagsterError(f"Dagster does not answer ({type(error).__name__})") from None
        return _data(reply.status_code, httpx.Response(reply.status_code, content=bytes(content)))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _data(status: int, reply: httpx.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict) or body.get("errors"):
        if status in (401, 403):
            raise DagsterError(f"Dagster refuses the service's request (status {status})")
        errors = body.get("errors") if isinstance(body, dict) else None
        if isinstance(errors, list) and any(isinstance(error, dict) and error.get("path") for error in errors):
            # Dagster began to answer the query, so Dagster understands the query. Dagster's message is left out,
            # because it may quote the address of Dagster's database.
            raise FailingDagsterError("Dagster runs but fails to answer, as it does without its database")
        if errors:
            raise DagsterError("Dagster does not understand the query; the service and Dagster differ in version")
        raise NoDagsterError(f"Dagster gives no usable answer (status {status})")
    data: dict[str, Any] = body["data"]
    return data
