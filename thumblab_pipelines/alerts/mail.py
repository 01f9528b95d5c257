"""Send a message by e-mail."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from thumblab_core.errors import LabError
from thumblab_core.monitoring.alert_settings import AlertSettings
from thumblab_core.monitoring.watch_state import Message
from thumblab_pipelines.alerts.lines import one_line
from thumblab_pipelines.alerts.undelivered import RefusedMessageError, UndeliveredError

_SECONDS = 10.0
_LONGEST_SUBJECT = 150


def mail_text(message: Message) -> str:
    """Return the body of the e-mail: plain text."""
    parts = [message.title, *([message.error] if message.error else []), "", *message.lines]
    return "\n".join([*parts, *(["", message.link] if message.link else [])]) + "\n"


def send(chosen: AlertSettings, message: Message) -> str:
    """Send the message, and return the answer of the mail server.

    Raises `UndeliveredError` if the mail server does not accept the message or cannot be reached.
    """
    user, password = chosen.alert_smtp_user, chosen.alert_smtp_password
    if user is not None and chosen.alert_smtp_security == "none":
        raise UndeliveredError(
            "a password would be sent unencrypted; set THUMBLAB_ALERT_SMTP_SECURITY to starttls or tls"
        )
    mail = _mail(chosen, message)
    try:
        with _connection(chosen) as server:
            if chosen.alert_smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if user is not None:
                server.login(user.get_secret_value(), password.get_secret_value() if password else "")
            refused = server.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        raise UndeliveredError(f"the mail server refused the sign-in ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        # An error 5xx after the text was sent concerns this message. An earlier error concerns the addresses or the
        # server.
        of_the_message = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
        kind = RefusedMessageError if of_the_message else UndeliveredError
        raise kind(f"the mail server answered {error.smtp_code} {_words(error.smtp_error)}") from None
    except smtplib.SMTPRecipientsRefused:
        raise UndeliveredError("the mail server refused every address of THUMBLAB_ALERT_MAIL_TO") from None
    except (smtplib.SMTPException, ssl.SSLError) as error:
        raise UndeliveredError(
            f"the mail server cannot be used ({type(error).__name__}: {_words(str(error))})"
        ) from None
    except OSError as error:
        raise UndeliveredError(
            f"the mail server cannot be reached ({error.strerror or type(error).__name__})"
        ) from None
    return f"taken, but not for {', '.join(sorted(refused))}" if refused else "taken by the mail server"


def _connection(chosen: AlertSettings) -> smtplib.SMTP:
    host, port = chosen.alert_smtp_host, chosen.alert_smtp_port
    if chosen.alert_smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=_SECONDS)


def _mail(chosen: AlertSettings, message: Message) -> EmailMessage:
    addresses = [address.strip() for address in chosen.alert_mail_to.split(",") if address.strip()]
    sender = chosen.alert_mail_from.strip() or addresses[0]
    mail = EmailMessage()
    # A line break in the title would start a new header of the e-mail.
    title = one_line(message.title)
    try:
        mail["Subject"] = f"[Thumbnail Lab] {title}"[:_LONGEST_SUBJECT]
        mail["From"], mail["To"] = sender, ", ".join(addresses)
    except ValueError:
        raise LabError("an address in THUMBLAB_ALERT_MAIL_TO or _FROM cannot be used; correct it") from None
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or None)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(mail_text(message))
    return mail


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return one_line(text)[:200]
