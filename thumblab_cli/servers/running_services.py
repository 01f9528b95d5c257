"""Find a scoring service that runs on this machine and belongs to another lab."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.api_key import kept_key
from thumblab_core.hosts import answering_host, host_in_url
from thumblab_core.running import running_lab

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


def another_labs_service(chosen: "Settings") -> str | None:
    """Return half a sentence on a running service that may not accept this lab's key, and how to print its key.

    None where the lab's own `thumblab up` runs, or no service does. No key is sent, because the service could keep it.
    """
    if running_lab(chosen.data_dir) is not None:
        return None
    key = kept_key(chosen)
    for folder, command in _related(chosen):
        running = running_lab(folder)
        if running is not None and (key is None or kept_key(chosen.model_copy(update={"data_dir": folder})) != key):
            return f"the service at {running.scoring} belongs to the lab in {folder}: {command} prints its key"
    address = f"http://{host_in_url(answering_host(chosen.serving_host), chosen.serving_port)}"
    if _asks_for_a_key(address):
        return (
            f"the service at {address} does not belong to this lab's `thumblab up`: if it belongs to another lab, set "
            "THUMBLAB_DATA_DIR to that lab's folder"
        )
    return None


def _related(chosen: "Settings") -> Iterator[tuple[Path, str]]:
    """Yield the folders of the user's own lab and of the demo labs below it, each with the command that prints its key.

    The given lab itself is left out.
    """
    this = chosen.data_dir.resolve()
    own = this.parent if this.name.startswith("demo") else this
    labs = dict.fromkeys(sorted(own.glob("demo-*")), "`thumblab key --demo` with its --catalogue")
    labs |= {own / "demo": "`thumblab key --demo`", own: "`thumblab key`"}
    yield from ((folder, command) for folder, command in labs.items() if folder != this)


def _asks_for_a_key(url: str) -> bool:
    """Return whether a scoring service answers at the URL and refuses requests without a key."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=2, trust_env=False) as client:
            if "encoders" not in client.get("/health").json():
                return False
            reply = client.post("/v1/score")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False
    return bool(reply.status_code == httpx.codes.UNAUTHORIZED)
