"""Define the asset, the job and the schedule of the niche reports."""
