"""Find a scoring service that runs on this machine and belongs to another lab."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.hosts import answering_host, host_in_url
from thumblab_core.keys.generated_key import kept_key
from thumblab_core.running import running_lab

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


def another_labs_service(chosen: "Settings") -> str | None:
    """Return a clause about a running service of another lab, for the end of an error message. The clause says how to
    get the key of that service.

    Return None if the lab's own `thumblab up` runs, or if no such service is found. No key is sent to the service,
    because somebody else may run it and could store the key.
    """
    if running_lab(chosen.data_dir) is not None:
        return None
    key = kept_key(chosen)
    for folder, option in _related(chosen.data_dir):
        running = running_lab(folder)
        if running is not None and (key is None or kept_key(chosen.model_copy(update={"data_dir": folder})) != key):
            command = f"thumblab key {option}" if option else f"THUMBLAB_DATA_DIR={folder} thumblab key"
            return f"the service at {running.scoring} belongs to the lab in {folder}: `{command}` prints its key"
    address = f"http://{host_in_url(answering_host(chosen.serving_host), chosen.serving_port)}"
    if _asks_for_a_key(address):
        return (
            f"the service at {address} does not belong to this lab's `thumblab up`: if it belongs to another lab, set "
            "THUMBLAB_DATA_DIR to that lab's folder"
        )
    return None


def running_related_lab(data_dir: Path, has_demo_option: bool) -> str | None:
    """Return a clause about a related lab that is running, for the end of an error message. The clause says how to use
    the related lab instead.

    Related labs are the user's own lab, and the demo labs below its folder. Return None if no related lab is running.
    `has_demo_option` says whether the command has the options `--demo` and `--catalogue`.
    """
    for folder, option in _related(data_dir):
        if running_lab(folder) is not None:
            use = f"set THUMBLAB_DATA_DIR={folder}"
            if has_demo_option:
                use = f"add `{option}`" if option else "leave out `--demo`"
            return f"`thumblab up` runs for the lab in {folder}: {use} to use that lab"
    return None


def _related(data_dir: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of each lab that is related to the lab in `data_dir`. With each folder, yield the command-line
    options that choose the related lab.

    Related labs are the user's own lab and the demo labs below its folder. The lab in `data_dir` itself is left out.
    """
    this = data_dir.resolve()
    own = this.parent if this.name.startswith("demo") else this
    labs = dict.fromkeys(sorted(own.glob("demo-*")), "--demo --catalogue FOLDER")
    labs |= {own / "demo": "--demo", own: ""}
    yield from ((folder, option) for folder, option in labs.items() if folder != this)


def _asks_for_a_key(url: str) -> bool:
    """Return whether a scoring service answers at the URL and refuses a request without a key."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=2, trust_env=False) as client:
            if "encoders" not in client.get("/health").json():
                return False
            reply = client.post("/v1/score")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False
    return bool(reply.status_code == httpx.codes.UNAUTHORIZED)
