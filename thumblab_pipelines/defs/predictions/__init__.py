"""Define the asset, the job and the schedule that compare kept predictions with the outcomes of their candidates."""
