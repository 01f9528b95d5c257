"""The demo's own lab. The demo's lab has a data folder, settings, and a YouTube emulator from which it collects videos."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from thumblab_cli.servers import ports
from thumblab_cli.which_lab import DEMO_FIELDS, demo_settings
from thumblab_core.data_folder import EMULATOR_PORT, make_writable_data_folder
from thumblab_core.library_note import DRAWN, write_note
from thumblab_core.running import running_lab
from thumblab_core.settings import Settings, settings

if TYPE_CHECKING:
    from demo.catalogues.catalogue import Catalogue
    from demo.emulator import Emulator

DEMO_KEY = "key-of-the-demo-worth-nothing"
"""The API key of the demo. The emulator accepts any key. A test checks that this text is in no file of the lab."""


@dataclass(frozen=True)
class DemoLab:
    """The demo's lab while its emulator runs."""

    settings: Settings
    environment: dict[str, str]
    """The environment variables that give a child process the settings of the demo's lab."""
    catalogue: "Catalogue"
    emulator: "Emulator"
    mlflow_port: int | None
    """The port on which to start MLflow. None means that the lab's `thumblab up` already runs MLflow."""

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir


@contextmanager
def demo_lab(folder: Path | None, mlflow_port: int | None = None) -> Iterator[DemoLab]:
    """Run the emulator and yield the demo's lab. The emulator serves the catalogue in `folder`, or the synthetic
    catalogue if `folder` is None.

    If `thumblab up` already runs on the demo's lab, the demo uses the MLflow server of `thumblab up`. Otherwise, the
    caller must start MLflow on the port in the field `mlflow_port` of the yielded lab.

    This port is the argument `mlflow_port`. If this argument is None, the port of MLflow's last start is used, or a
    free port if another program listens on that port.
    """
    from demo.catalogues.catalogue import read_catalogue
    from demo.catalogues.synthetic import synthetic_catalogue
    from demo.emulator import Emulator

    base = demo_settings(folder)
    catalogue = read_catalogue(folder) if folder else synthetic_catalogue(settings().demo_videos)
    make_writable_data_folder(base.data_dir)
    if folder is None:
        write_note(base.data_dir, DRAWN)
    running = running_lab(base.data_dir)
    port = mlflow_port or ports.free_port(ports.mlflow_port(base.data_dir))
    emulator_port = ports.free_port(ports.kept_port(base.data_dir / EMULATOR_PORT))
    with Emulator(catalogue, port=emulator_port) as emulator:
        changes = {
            "mlflow_tracking_uri": f"http://127.0.0.1:{port}" if running is None else running.mlflow,
            "youtube_endpoint": emulator.endpoint,
            "youtube_api_key": SecretStr(DEMO_KEY),
            # With these limits, the lab collects the whole catalogue, even if the catalogue is old and large. A full
            # collection would be too much for YouTube's quota, but the emulator's quota costs nothing.
            "videos_per_niche": 500,
            "uploads_per_channel": len(catalogue.videos),
            "channels_per_refresh": len(catalogue.videos),
            "search_days": 36_500,
            "library_days": 36_500,
            # A full collection takes forty searches, and users run the demo more than twice a day. YouTube's limit of
            # 100 searches a day would be too low.
            "quota_searches": 10_000,
        }
        chosen = base.model_copy(update=changes)
        environment = chosen.as_environment(dict.fromkeys((*DEMO_FIELDS, *changes)))
        yield DemoLab(chosen, environment, catalogue, emulator, None if running else port)
