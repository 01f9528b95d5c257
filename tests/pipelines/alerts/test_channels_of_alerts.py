"""Test the chat and the mail server to which the lab sends alerts.

The chat and the mail server are real servers on this machine.
"""

import datetime
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from alert_sinks import chat, mail_server
from click.testing import CliRunner
from local_server import certificate
from pydantic import SecretStr

from thumblab_cli.main import cli
from thumblab_cli.servers.ports import free_port
from thumblab_core.keys.secret_texts import secret_texts
from thumblab_core.monitoring.watch_state import Message, WatchState
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.alerts import mail, webhook
from thumblab_pipelines.alerts.delivery import announce, channels, deliver
from thumblab_pipelines.alerts.undelivered import UndeliveredError
from thumblab_pipelines.alerts.webhook import slack_text

HOSTILE = Message(
    title="refresh_library of tech\r\nBcc: everybody@example.com failed",
    error="<!channel> [look](http://evil.example) `code` @everyone & *bold*",
    lines=["What to do: <b>nothing</b>"],
    link="http://127.0.0.1:3000/runs/1",
)


def by_mail(port: int, **more: Any) -> Settings:
    return Settings(
        alert_smtp_host="127.0.0.1",
        alert_smtp_port=port,
        alert_mail_to="owner@example.com, second@example.com",
        alert_mail_from="lab@example.com",
        **{"alert_smtp_security": "none", **more},
    )


def test_words_from_outside_cannot_call_link_or_format_in_a_chat() -> None:
    text = slack_text(HOSTILE)
    title, error, advice, link = text.split("\n")
    assert error == "`&lt;!channel&gt; [look](http://evil.example) ˋcodeˋ @\u200beveryone &amp; *bold*`"
    assert title == "*refresh_library of tech Bcc: everybody@\u200bexample.com failed*"
    assert advice == "What to do: &lt;b&gt;nothing&lt;/b&gt;"
    assert link == HOSTILE.link


def test_a_long_summary_keeps_its_ends_and_says_how_many_lines_it_lacks() -> None:
    lines = [f"line {number} {'<&@>' * 20}" for number in range(60)]
    message = Message(title="Daily summary", lines=[*lines, "Open alert: x"], link="http://127.0.0.1:3000")
    text = slack_text(message)
    assert 1_500 < len(text) <= 2_000
    shown = text.split("\n")
    assert shown[:1] + shown[-2:] == ["*Daily summary*", "Open alert: x", "http://127.0.0.1:3000"]
    assert shown[1].startswith("line 0 ")
    assert f"(lines left out here: {61 - (len(shown) - 3)})" in shown


def test_parts_that_are_too_long_are_cut_one_by_one() -> None:
    text = slack_text(Message(title="t" * 3_000, error="e" * 3_000, lines=["l" * 3_000] * 3, link="http://a"))
    assert len(text) <= 2_000
    title, error, *_, link = text.split("\n")
    assert title.endswith("t…*")
    assert error.endswith("e…`")
    assert link == "http://a"


def test_a_password_in_the_address_of_dagster_is_neither_logged_nor_sent(caplog: pytest.LogCaptureFixture) -> None:
    page, now = "https://me:SecretOfDagster@dagster.example", datetime.datetime.now(datetime.UTC)
    with chat() as taken:
        chosen = Settings(alert_webhook_url=SecretStr(taken.url), alert_dagster_url=page)
        state, senders, secrets = WatchState(), channels(chosen), secret_texts(chosen, {})
        announce(state, [Message(title="failed", link=f"{page}/runs/1")], senders, now, secrets)
        deliver(state, senders, now, secrets)
    assert taken.texts == ["*failed*\nhttps://me:***@\u200bdagster.example/runs/1"]
    assert "https://me:***@dagster.example/runs/1" in caplog.text
    assert "SecretOfDagster" not in caplog.text


def test_a_title_cannot_add_headers_to_an_email() -> None:
    with mail_server(free_port()) as server:
        assert mail.send(by_mail(server.port), HOSTILE) == "taken by the mail server"
    (taken,) = server.mails
    assert taken["Subject"].strip() == "[Thumbnail Lab] refresh_library of tech Bcc: everybody@example.com failed"
    assert taken["Bcc"] is None
    assert taken["To"] == "owner@example.com, second@example.com"
    assert HOSTILE.error in taken.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_is_sent_encrypted_and_only_to_a_server_with_a_trusted_certificate(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiosmtpd.smtp import AuthResult

    given = []

    def sign_in(server: Any, session: Any, envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given.append((data.login, data.password))
        return AuthResult(success=data.password == b"right password", handled=False)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    option = {"tls_context": context, "require_starttls": True} if security == "starttls" else {"ssl_context": context}
    user = {"alert_smtp_user": SecretStr("lab"), "alert_smtp_password": SecretStr("right password")}
    with mail_server(
        free_port(), authenticator=sign_in, auth_required=True, auth_require_tls=False, **option
    ) as server:
        chosen = by_mail(server.port, alert_smtp_security=security, **user)
        with pytest.raises(UndeliveredError, match="CERTIFICATE_VERIFY_FAILED"):
            mail.send(chosen, HOSTILE)
        assert given == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        mail.send(chosen, HOSTILE)
        assert given == [(b"lab", b"right password")]
        wrong = chosen.model_copy(update={"alert_smtp_password": SecretStr("wrong password")})
        with pytest.raises(UndeliveredError, match=r"^the mail server refused the sign-in \(535\)$"):
            mail.send(wrong, HOSTILE)
    assert len(server.mails) == 1


def test_a_password_is_never_sent_unencrypted() -> None:
    with pytest.raises(UndeliveredError, match="would be sent unencrypted"):
        mail.send(by_mail(1, alert_smtp_user=SecretStr("lab")), HOSTILE)


def test_a_channel_that_hangs_delays_no_other_and_the_log_has_one_line_per_alert(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
    with chat() as taken, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        chosen = by_mail(silent.getsockname()[1], alert_webhook_url=SecretStr(taken.url))
        state, senders = WatchState(), channels(chosen)
        announce(state, [HOSTILE, HOSTILE], senders, now, [])
        began = time.monotonic()
        deliver(state, senders, now, [], seconds=5)
        assert time.monotonic() - began < 9
        assert len(taken.texts) == 2
        first, second = state.deliveries
        assert (first.channel, first.attempts, first.problem) == ("mail", 1, "no answer within 5 s")
        assert (second.channel, second.attempts) == ("mail", 0)
    assert "\n" not in "".join(record.getMessage() for record in caplog.records)


def test_the_test_command_says_what_each_channel_answered_and_never_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat() as taken, mail_server(free_port()) as server:
        for name, value in {
            "WEBHOOK_URL": taken.url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(server.port),
            "SMTP_SECURITY": "none",
            "MAIL_TO": "owner@example.com",
        }.items():
            monkeypatch.setenv(f"THUMBLAB_ALERT_{name}", value)
        settings.cache_clear()
        sent = CliRunner().invoke(cli, ["alert", "test"])
        taken.status = 404
        refused = CliRunner().invoke(cli, ["alert", "test"])
        as_json = CliRunner().invoke(cli, ["alert", "test", "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output) == [
        {"channel": "webhook", "sent": False, "answer": "the webhook answered 404 no_service"},
        {"channel": "mail", "sent": True, "answer": "taken by the mail server"},
    ]
    assert (sent.exit_code, sent.output) == (0, "webhook: sent; 200 ok\nmail: sent; taken by the mail server\n")
    assert refused.exit_code == 1
    assert "webhook: not sent; the webhook answered 404 no_service\nmail: sent" in refused.output
    assert len(server.mails) == 3
    monkeypatch.setenv("THUMBLAB_ALERT_WEBHOOK_URL", taken.url)
    monkeypatch.setenv("THUMBLAB_ALERT_SMTP_HOST", "")
    settings.cache_clear()
    down = CliRunner().invoke(cli, ["alert", "test"])
    assert (down.exit_code, down.output) == (1, "webhook: not sent; the webhook cannot be reached (ConnectError)\n")


@pytest.mark.parametrize("host", ["discord.com", "discordapp.com"])
def test_a_discord_address_without_slack_at_its_end_is_refused_with_what_to_add(host: str) -> None:
    with pytest.raises(UndeliveredError, match="only if its address ends with /slack; add /slack"):
        webhook.send(f"https://{host}/api/webhooks/1/token", Message(title="A test alert", lines=[]))


def test_without_a_channel_the_test_command_says_which_settings_make_one() -> None:
    done = CliRunner().invoke(cli, ["alert", "test"])
    assert done.exit_code == 1
    assert "set THUMBLAB_ALERT_WEBHOOK_URL" in done.output
