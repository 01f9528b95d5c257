"""Measure how embedding on a Ray cluster scales from one worker to two."""
