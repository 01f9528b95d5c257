"""Real receivers of alerts for the tests: an HTTP server that takes webhooks, and a mail server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from local_server import Handler, local_server, url_of


@dataclass
class Chat:
    """A chat server with an incoming webhook.

    `texts` contains the messages that the server accepted. The server answers each request with `status`, and accepts
    messages only with status 200. `refused` maps the text of a message to the status that this message gets instead.
    The server answers requests only while the event `answers` is set. `asked` counts the requests.
    """

    url: str
    texts: list[str] = field(default_factory=list)
    status: int = 200
    refused: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    answers: threading.Event = field(default_factory=threading.Event)


@contextmanager
def chat() -> Iterator[Chat]:
    class Webhook(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            taken.asked += 1
            taken.answers.wait()
            status = taken.refused.get(body["text"], taken.status)
            if status == 200:
                taken.texts.append(body["text"])
            self.reply(status, b"ok" if status == 200 else b"no_service")

    with local_server(Webhook) as server:
        taken = Chat(f"{url_of(server)}/services/T0/B0/SecretOfTheWebhook")
        taken.answers.set()
        yield taken


@dataclass
class MailServer:
    """A mail server with the e-mails that it accepted."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"


@contextmanager
def mail_server(port: int, **options: Any) -> Iterator[MailServer]:
    taken = MailServer(port)
    controller = Controller(taken, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield taken
    finally:
        controller.stop()
