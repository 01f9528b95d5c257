"""Find, for each niche, where its videos come from, and how much quota the collection of the videos costs."""
