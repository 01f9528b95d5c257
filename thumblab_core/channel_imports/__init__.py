"""What the scoring service and the job `add_channel` share: the folder of an import, and the report on it."""
