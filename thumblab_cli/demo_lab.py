"""The demo's own laboratory: its data folder, its settings, and the YouTube emulator behind them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_cli.processes import free_port
from thumblab_core.settings import settings

if TYPE_CHECKING:
    from demo.catalogue import Catalogue
    from demo.emulator import Emulator

DEMO_KEY = "key-of-the-demo-worth-nothing"
"""Any key will do for the emulator; this one is easily found where no key should be."""


@dataclass(frozen=True)
class DemoLab:
    """What the demo runs on. `settings()` of this process is the demo's while it is open."""

    catalogue: "Catalogue"
    emulator: "Emulator"
    data_dir: Path
    mlflow_port: int


def _usual_port(memory: Path) -> int:
    """The port of the last time where it is free, so that the URLs of then are still good."""
    if memory.is_file():
        return free_port(int(memory.read_text()))  # another one is for this time only
    port = free_port()
    memory.write_text(str(port))
    return port


@contextmanager
def demo_lab(folder: Path | None, mlflow_port: int | None = None) -> Iterator[DemoLab]:
    """Run the emulator over the catalogue in `folder`, or over the synthetic one, and aim the settings at it.

    MLflow is expected on `mlflow_port`, or, when that is None, where it was the last time. The demo never touches the user's
    own library: it has a data folder and an embedded database of its own.
    """
    from demo.catalogue import read_catalogue
    from demo.emulator import Emulator
    from demo.synthetic import synthetic_catalogue
    from thumblab_core.model_files import face_model

    own = settings()
    catalogue = read_catalogue(folder) if folder else synthetic_catalogue(own.demo_videos)
    name = f"demo-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}" if folder else "demo"
    data_dir = own.data_dir.resolve() / name
    data_dir.mkdir(parents=True, exist_ok=True)
    mlflow_port = mlflow_port or _usual_port(data_dir / "mlflow-port")
    with Emulator(catalogue, port=_usual_port(data_dir / "emulator-port")) as emulator:
        everything = str(len(catalogue.videos))
        environment = {
            "THUMBLAB_DATA_DIR": str(data_dir),
            "THUMBLAB_DATABASE_URL": "",
            "THUMBLAB_RELEASE_DIR": "",
            "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
            "THUMBLAB_YOUTUBE_API_KEY": DEMO_KEY,
            "THUMBLAB_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
            "THUMBLAB_IMAGE_ENCODER": os.environ.get("THUMBLAB_IMAGE_ENCODER", "builtin"),
            # Pulled once, a model file is there for every lab of this user.
            "THUMBLAB_FACE_MODEL": str(face_model(own) or ""),
            # The whole catalogue, whatever its age and size: it is the emulator's and costs nobody anything.
            "THUMBLAB_VIDEOS_PER_NICHE": "500",
            "THUMBLAB_UPLOADS_PER_CHANNEL": everything,
            "THUMBLAB_CHANNELS_PER_REFRESH": everything,
            "THUMBLAB_SEARCH_DAYS": "36500",
            "THUMBLAB_LIBRARY_DAYS": "36500",
            # Looking at all of it takes forty searches, and who tries the demo runs it more than twice a day.
            "THUMBLAB_QUOTA_SEARCHES": "10000",
        }
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        settings.cache_clear()
        try:
            yield DemoLab(catalogue, emulator, data_dir, mlflow_port)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            settings.cache_clear()
