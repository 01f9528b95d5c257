"""Define the assets and jobs of the people in thumbnails. They fail with a sentence while people are switched off."""
