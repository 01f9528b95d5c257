"""Find the faces in a picture, align them, judge their quality and turn them into vectors. This package names nobody."""
