"""The folder of an import and its report, which the scoring service and the job `add_channel` share."""
