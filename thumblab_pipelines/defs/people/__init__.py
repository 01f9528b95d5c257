"""Define the assets and jobs of the people in thumbnails. These assets and jobs fail with an explanation while the
setting `people` is off."""
