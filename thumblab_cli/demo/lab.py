"""The demo's own laboratory: its data folder, its settings, and the YouTube emulator behind them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_cli.servers import processes
from thumblab_cli.which_lab import demo_settings
from thumblab_core.library_note import DRAWN, write_note
from thumblab_core.running import running_lab
from thumblab_core.settings import settings

if TYPE_CHECKING:
    from demo.catalogues.catalogue import Catalogue
    from demo.emulator import Emulator

DEMO_KEY = "key-of-the-demo-worth-nothing"
"""Any key will do for the emulator; this one is easily found where no key should be."""


@dataclass(frozen=True)
class DemoLab:
    """What the demo runs on. `settings()` of this process is the demo's while it is open."""

    catalogue: "Catalogue"
    emulator: "Emulator"
    data_dir: Path
    mlflow_port: int | None
    """Where to start MLflow; None where the lab's `thumblab up` runs it."""


@contextmanager
def demo_lab(folder: Path | None, mlflow_port: int | None = None) -> Iterator[DemoLab]:
    """Run the emulator over the catalogue in `folder`, or over the synthetic one, and aim the settings at it.

    MLflow is where the lab's `thumblab up` runs it; else it is to be started on `mlflow_port`, or, when that is None, where
    the lab always has it, or on another port where something else is there.
    """
    from demo.catalogues.catalogue import read_catalogue
    from demo.catalogues.synthetic import synthetic_catalogue
    from demo.emulator import Emulator

    own, lab = settings(), demo_settings(folder)
    catalogue = read_catalogue(folder) if folder else synthetic_catalogue(own.demo_videos)
    lab.data_dir.mkdir(parents=True, exist_ok=True)
    if folder is None:
        write_note(lab.data_dir, DRAWN)
    running = running_lab(lab.data_dir)
    port = mlflow_port or processes.free_port(processes.mlflow_port(lab.data_dir))
    emulator_port = processes.free_port(processes.kept_port(lab.data_dir / "emulator-port"))
    with Emulator(catalogue, port=emulator_port) as emulator:
        everything = str(len(catalogue.videos))
        environment = {
            "THUMBLAB_DATA_DIR": str(lab.data_dir),
            "THUMBLAB_DATABASE_URL": "",
            "THUMBLAB_RELEASE_DIR": "",
            "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
            "THUMBLAB_YOUTUBE_API_KEY": DEMO_KEY,
            "THUMBLAB_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}" if running is None else running.mlflow,
            "THUMBLAB_IMAGE_ENCODER": lab.image_encoder,
            "THUMBLAB_FACE_MODEL": str(lab.face_model or ""),
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
            yield DemoLab(catalogue, emulator, lab.data_dir, None if running else port)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            settings.cache_clear()
