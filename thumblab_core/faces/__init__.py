"""Find the faces in a picture, align them, judge their quality and turn them into vectors. This package does not find
out whose faces they are.
"""
