"""Check the whole lab: how last week differs from the weeks before, and how good the served releases are now.

Dagster runs these checks every day, and a person may run each check alone. The checks read the lab and change nothing.
"""
