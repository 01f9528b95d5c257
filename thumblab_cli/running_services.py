"""Scoring services that run on this machine and are not the lab's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.api_key import kept_key
from thumblab_core.running import running_lab

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


def another_labs_service(chosen: "Settings") -> str | None:
    """Half a sentence on a running service that does not take the key of this lab, and what prints its key.

    None where the lab's own service runs, or none does.
    """
    if running_lab(chosen.data_dir) is not None:
        return None
    key = kept_key(chosen)
    for folder, command in _related(chosen):
        running = running_lab(folder)
        if running is not None and (key is None or kept_key(chosen.model_copy(update={"data_dir": folder})) != key):
            return f"the service that runs at {running.scoring} is of the lab in {folder}: {command} prints its key"
    at = f"http://{_address(chosen.serving_host)}:{chosen.serving_port}"
    if _refuses(at, key):
        return f"the service that runs at {at} is of another lab: set THUMBLAB_DATA_DIR to its folder"
    return None


def _related(chosen: "Settings") -> Iterator[tuple[Path, str]]:
    """The user's own lab and the demo's labs below it, without this one; each with the command that prints its key."""
    this = chosen.data_dir.resolve()
    own = this.parent if this.name.startswith("demo") else this
    labs = dict.fromkeys(sorted(own.glob("demo-*")), "`thumblab key --demo` with its --catalogue")
    labs |= {own / "demo": "`thumblab key --demo`", own: "`thumblab key`"}
    yield from ((folder, command) for folder, command in labs.items() if folder != this)


def _address(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _refuses(url: str, key: str | None) -> bool:
    """Whether a scoring service answers there that does not take the key."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=2, trust_env=False) as client:
            if "encoders" not in client.get("/health").json():
                return False
            # Without a body it is refused in any case: what matters is whether the key is the reason.
            reply = client.post("/v1/score", headers={} if key is None else {"X-API-Key": key})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False
    return bool(reply.status_code == httpx.codes.UNAUTHORIZED)
