"""Helpers that connect a lab to the emulator of YouTube and list the lab's videos."""

import dataclasses
from typing import Any

from sqlalchemy import select

from demo.emulator import Emulator
from thumblab_core.database.tables import videos
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab

SECRET = "AIzaSecretOfTheTests"


def at(lab: Lab, emulator: Emulator, **changes: Any) -> Lab:
    """Return the lab with settings that make it call `emulator` instead of YouTube. `changes` adds other settings."""
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": SECRET, "youtube_first_wait_s": 0.01} | changes
    return dataclasses.replace(lab, settings=Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen)))


def stored(lab: Lab) -> set[str]:
    """Return the ids of the videos that are stored in the lab."""
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(videos.c.video_id)))
