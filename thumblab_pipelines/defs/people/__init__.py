"""Define the assets and jobs of the people in thumbnails. They fail with an explanation while the setting `people` is
off."""
