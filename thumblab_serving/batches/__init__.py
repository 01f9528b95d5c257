"""Batches: many scoring requests that are sent at once, kept on the disk, and answered when the service has time."""
