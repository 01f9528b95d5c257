"""Define the asset, the job and the schedule that compare kept predictions with what happened to their candidates."""
