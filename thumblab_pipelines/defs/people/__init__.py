"""Define the assets and jobs of the people in thumbnails. They do nothing while people are switched off."""
