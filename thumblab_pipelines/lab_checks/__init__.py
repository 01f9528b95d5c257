"""Check the state of the whole lab: what changed against the weeks before, and what the served releases are worth now.

Dagster runs these checks every day, and a person may run each of them alone. They read the lab and change nothing.
"""
