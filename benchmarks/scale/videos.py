"""Stages from the corpus of videos to a published model."""

from benchmarks.scale.stage import Stage

STAGES: list[Stage] = []
