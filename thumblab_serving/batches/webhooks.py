"""Notify another service that a batch has ended. The notice is a signed POST over https. It goes only to a host that
the lab's owner allowed.

The signature has the form of Standard Webhooks (https://www.standardwebhooks.com). The header `webhook-signature`
contains `v1,` and then an HMAC-SHA256 in base64. The HMAC is computed over `webhook-id.webhook-timestamp.body`, with
`THUMBLAB_SERVING_WEBHOOK_SECRET` as the key.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher, FetchError
from thumblab_core.hosts import url_host
from thumblab_core.settings import Settings
from thumblab_serving.batches.records import Delivery
from thumblab_serving.schemas.batches import BatchOut

_DEADLINE_S = 10.0
_WAITS_S = (5.0, 30.0, 120.0, 600.0)
"""Seconds to wait after each failed attempt. After the last attempt, there is no wait."""


class WebhookError(LabError):
    """The error for a webhook that this lab does not send, or that the receiver did not accept."""


class Webhooks:
    """A sender of webhooks. Many threads may use it at the same time. Close it after use."""

    def __init__(self, settings: Settings) -> None:
        hosts = [host for host in settings.serving_webhook_hosts.split(",") if host]
        secret = settings.serving_webhook_secret
        self._secret = None if secret is None else secret.get_secret_value().encode()
        self._fetcher = Fetcher(hosts, _DEADLINE_S, accept="*/*")
        self._is_on = bool(hosts) and self._secret is not None

    def close(self) -> None:
        self._fetcher.close()

    def check(self, url: str) -> None:
        """Raise `WebhookError` if this lab does not send webhooks to the URL."""
        if not self._is_on:
            raise WebhookError(
                "this service sends no webhooks; set THUMBLAB_SERVING_WEBHOOK_HOSTS and "
                "THUMBLAB_SERVING_WEBHOOK_SECRET, or send the batch without a webhook and poll its state"
            )
        if not url.startswith("https://"):
            raise WebhookError("give an https URL")
        try:
            self._fetcher.check(url)
        except FetchError:
            raise WebhookError(
                "the host is not among THUMBLAB_SERVING_WEBHOOK_HOSTS, or the URL contains credentials"
            ) from None

    def begun(self, delivery: Delivery) -> Delivery:
        """Return the state of a delivery whose next attempt begins now. If all attempts were made, the state is
        `failed`.

        Store this state before the attempt. Otherwise, if no state can be stored after the attempt, the attempt would
        be repeated without a wait and without end.
        """
        if delivery.attempts > len(_WAITS_S):
            return replace(delivery, state="failed", next_at=None)
        attempts = delivery.attempts + 1
        wait = _WAITS_S[min(attempts, len(_WAITS_S)) - 1]
        reason = "the result of the last attempt is not known"
        return replace(delivery, attempts=attempts, reason=reason, next_at=time.time() + wait)

    def deliver(self, url: str, batch: BatchOut, begun: Delivery) -> Delivery:
        """Send the webhook of a batch once. `begun` is the state that the method `begun` has returned for this attempt.

        Return the state of the delivery after this attempt. Raises no error.
        """
        try:
            self.check(url)  # The settings may have changed since the batch was stored.
            body = json.dumps({"type": "batch.ended", "batch": batch.model_dump(mode="json", exclude={"webhook"})})
            self._post(url, body.encode(), self._headers(batch.id, body))
        except WebhookError as error:
            failed = replace(begun, reason=str(error))
            if begun.attempts > len(_WAITS_S):
                return replace(failed, state="failed", next_at=None)
            return replace(failed, next_at=time.time() + _WAITS_S[begun.attempts - 1])
        return Delivery("delivered", begun.attempts, None, None)

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Send the webhook. Raises `WebhookError` if the receiver did not accept the webhook.

        The error message contains only the host of the URL. The path and the query of the URL may contain a secret of
        the receiver. The error is shown to everybody who may see the batch.
        """
        host = url_host(url)
        try:
            self._fetcher.post(url, body, headers)
        except FetchError as error:
            reason = "could not be reached" if error.status is None else f"answered {error.status}"
            raise WebhookError(f"{host} {reason}") from None

    def _headers(self, batch_id: str, body: str) -> dict[str, str]:
        now = str(int(time.time()))
        signed = hmac.new(self._secret or b"", f"{batch_id}.{now}.{body}".encode(), hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "webhook-id": batch_id,
            "webhook-timestamp": now,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }
