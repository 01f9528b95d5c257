"""Tests of the sign-in of a channel's owner. An error says what to do next. Secrets are sent only to Google, and only
over TLS.
"""

import json
import logging
import socket
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reach_owner import CLIENT_SECRET, DAY, REFRESH_TOKEN, A, Owner, import_error, lab_with, report

from demo import faults
from demo.faults import Fault
from demo.messages import Reply, json_reply
from thumblab_core.errors import LabError
from thumblab_pipelines.owner_ctr.reach import import_reach


def test_the_token_is_sent_only_to_the_api_with_any_url_of_a_report(owner: Owner) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as other_server:
        threading.Thread(target=_listen, args=(other_server, received), daemon=True).start()
        elsewhere = f"http://127.0.0.1:{other_server.getsockname()[1]}/"
        own = owner.emulator.endpoint
        for url in (
            elsewhere,
            own.replace("127.0.0.1", "localhost"),
            own.replace("//", "//u:p@"),
            "file:///etc/passwd",
        ):
            with_other_url = Fault(
                upon=lambda reply, url=url: replace(reply, body=reply.body.replace(own.encode(), url.encode()))
            )  # type: ignore[misc]
            owner.emulator.inject(with_other_url, endpoint="reports")
            owner.emulator.reach_reports = [report(DAY, (A, 10, 0.1))]
            assert "the other server would get the owner's token" in str(import_error(owner))
        for endpoint in ("download", "reports", "token"):
            redirect = Reply(302, "text/plain", b"", {"Location": elsewhere})
            owner.emulator.inject(Fault(instead=lambda _, redirect=redirect: redirect), endpoint=endpoint)  # type: ignore[misc]
            import_error(owner)
    assert received == []
    assert owner.stored() == {}


def _listen(server: socket.socket, received: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            received.append(connection.recv(65_536))


CREDENTIALS = {
    "not JSON": ("nothing", "is not a JSON file"),
    "a list": ("[]", "is not a JSON file"),
    "the client": ({"installed": {"client_secret": CLIENT_SECRET}}, "is an OAuth client file"),
    "a service account": ({"type": "service_account", "private_key": CLIENT_SECRET}, "the key of a service account"),
    "another type": ({"type": "external_account", "client_secret": CLIENT_SECRET}, "does not have the type"),
    "no token": ({"type": "authorized_user", "client_id": "i", "client_secret": CLIENT_SECRET}, "lacks refresh_token"),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_wrong_credentials_file_is_an_error_that_does_not_quote_it(
    owner: Owner, credentials_file: Path, case: str
) -> None:
    content, sentence = CREDENTIALS[case]
    credentials_file.write_text(content if isinstance(content, str) else json.dumps(content))
    error = import_error(owner)
    assert sentence in str(error)
    assert not error.transient
    assert CLIENT_SECRET not in "".join(traceback.format_exception(error))


def test_missing_credentials_file_is_an_error_that_says_what_to_do(owner: Owner, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="put THUMBLAB_YOUTUBE_OWNER_CREDENTIALS=FILE into"):
        import_reach(lab_with(owner, youtube_owner_credentials=None))
    with pytest.raises(LabError, match=r"is set to .*none\.json, which cannot be read \(No such file"):
        import_reach(lab_with(owner, youtube_owner_credentials=tmp_path / "none.json"))


def test_secrets_are_sent_only_over_tls(owner: Owner, credentials_file: Path) -> None:
    credentials_file.write_text(
        json.dumps({**json.loads(credentials_file.read_text()), "token_uri": "http://token.example/"})
    )
    with pytest.raises(LabError, match="is not an https:// address"):
        import_reach(lab_with(owner, youtube_endpoint=None))


def test_revoked_sign_in_says_to_sign_in_again(owner: Owner, credentials_file: Path) -> None:
    credentials_file.write_text(credentials_file.read_text().replace(REFRESH_TOKEN, "1//another"))
    error = import_error(owner)
    assert "refused the sign-in of the channel's owner (invalid_grant); sign in again" in str(error)
    assert not error.transient


@pytest.mark.parametrize("reason", ["accessNotConfigured", "SERVICE_DISABLED"])
def test_disabled_api_says_to_enable_it(owner: Owner, reason: str) -> None:
    owner.emulator.inject(faults.refusal(403, reason), endpoint="jobs", times=None)
    assert "enable the YouTube Reporting API" in str(import_error(owner))


def test_sign_in_without_the_scope_says_to_sign_in_again(owner: Owner) -> None:
    owner.emulator.inject(faults.refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), endpoint="jobs", times=None)
    assert "yt-analytics.readonly" in str(import_error(owner))


@pytest.mark.parametrize("endpoint", ["token", "jobs", "reports", "download"])
def test_no_secret_appears_in_logs_errors_or_output(
    owner: Owner, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], endpoint: str
) -> None:
    """Check that the lab never repeats a secret, even if the server repeats it.

    The server answers each request with an error that contains all text that the lab sent to it.
    """
    sent: list[str] = []

    def echo(request: Any) -> Reply:
        sent.append(request.headers.get("Authorization", "") + request.body.decode())
        body = {"error": "invalid_grant " + sent[-1], "error_description": sent[-1]}
        if endpoint != "token":
            body = {"error": {"code": 403, "message": sent[-1], "errors": [{"reason": sent[-1]}]}}  # type: ignore[dict-item]
        return json_reply(403, body)

    owner.emulator.reach_reports = [report(DAY, (A, 10, 0.1))]
    owner.emulator.inject(Fault(instead=echo), endpoint=endpoint, times=None)
    with caplog.at_level(logging.DEBUG):
        error = import_error(owner)
    out = capfd.readouterr()
    text = "".join(traceback.format_exception(error)) + caplog.text + out.out + out.err + repr(error.__dict__)
    secrets = [CLIENT_SECRET, REFRESH_TOKEN, REFRESH_TOKEN.replace("/", "%2F")]
    if endpoint != "token":
        assert sent[0].startswith("Bearer ya29.")
        secrets.append(sent[0].removeprefix("Bearer ").split("{")[0])
    else:
        assert CLIENT_SECRET in sent[0]
    for secret in secrets:
        assert secret not in text
