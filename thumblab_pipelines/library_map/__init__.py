"""Make library maps: a place for each thumbnail, so that similar ones are near each other, and clusters with labels.

`build` makes a release, checks it and promotes it. `trim` takes deleted videos out of maps. The format is in
`thumblab_core.library_map`, and docs/library-map.md explains the method.
"""
