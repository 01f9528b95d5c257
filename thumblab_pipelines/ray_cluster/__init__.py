"""Run blocks of work on a Ray cluster. Without the setting `ray_address`, nothing here is used and Ray is not imported."""
