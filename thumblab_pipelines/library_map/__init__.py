"""Make library maps. A map places similar thumbnails near each other, and has clusters with labels.

`build` makes, checks and promotes the release of a map. `trim` removes deleted videos from maps.
`thumblab_core.library_map` defines the files of a map, and docs/library-map.md explains the method.
"""
