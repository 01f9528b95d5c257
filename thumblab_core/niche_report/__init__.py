"""Reports on niches: what they say, and how they are stored. The pipelines write them, and the service reads them."""
