"""The folder of an import, and the report in it. The scoring service and the job `add_channel` use this code."""
