"""Define the settings for messages about failures. docs/alerts.md explains these settings."""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings

from thumblab_core.setting_groups import setting


class AlertSettings(BaseSettings):
    """Alerts."""

    alert_webhook_url: SecretStr | None = setting(
        None,
        "The URL of an incoming webhook of Slack, Mattermost or Discord, to which alerts are sent. Add `/slack` to the end "
        "of a Discord URL. See [Alerts](alerts.md).",
    )
    alert_mail_to: str = setting("", "The e-mail addresses that alerts are sent to, separated by commas.")
    alert_mail_from: str = setting(
        "", "The sender of the e-mails. Unset: the first address of `THUMBLAB_ALERT_MAIL_TO`."
    )
    alert_smtp_host: str = setting("", "The mail server that takes the e-mails. Without it, no e-mail is sent.")
    alert_smtp_port: int = setting(587, "The port of the mail server.", ge=1, le=65535)
    alert_smtp_security: Literal["starttls", "tls", "none"] = setting(
        "starttls",
        "How the connection to the mail server is encrypted: `starttls` (usually port 587), `tls` (465), or `none` for a "
        "relay on this machine, which gets no password.",
    )
    alert_smtp_user: SecretStr | None = setting(
        None, "The user name with which the lab signs in to the mail server. Unset: no sign-in."
    )
    alert_smtp_password: SecretStr | None = setting(None, "The password of the user.")
    alert_dagster_url: str = setting(
        "",
        "The address at which a browser opens Dagster. Alerts, the service's answers and runs in MLflow link to it. "
        "Unset: the address of the lab's `thumblab up`, or `THUMBLAB_DAGSTER_URL`.",
    )
    alert_wait_s: float = setting(
        120.0,
        "How long an alert waits for more failures of the same cause, so that the alert can give their number.",
        "seconds",
        ge=0,
        le=3_600,
    )
    alert_stale_h: float = setting(
        36.0,
        "If a niche has had no successful refresh for this time, an alert reports the niche as late.",
        "hours",
        gt=0,
    )

    @field_validator("alert_webhook_url", "alert_smtp_user", "alert_smtp_password", mode="before")
    @classmethod
    def _blank_secret_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("alert_webhook_url")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            # The message does not show the URL, because whoever has the URL can write into the chat.
            try:
                parts = urlsplit(value.get_secret_value())
            except ValueError:
                raise ValueError("this is not a URL; copy the whole address from the chat's settings") from None
            if parts.scheme not in ("https", "http") or not parts.hostname:
                raise ValueError("the URL does not begin with https:// or http:// and a host; copy the whole address")
        return value
