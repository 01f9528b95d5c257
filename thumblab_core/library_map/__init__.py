"""Write and read library maps. A map shows each video of a library as a point, and similar thumbnails near each other.

A map is a release of the kind `LIBRARY_MAP`. Its scope is a niche, or `ALL` for the videos of all niches. Its files:

- `points.arrow`: one row for each video, see `points`
- `clusters.json`: groups of similar thumbnails, see `clusters`
- `atlases.json` and `atlases/<sha256>.jpg`: small pictures of the videos, many in each file, see `atlases`
- `pictures.json`: the SHA-256 of the stored picture of each tile of the atlases
- `tiles.json` and `tiles/<level>/<x>-<y>.arrow`: the rows of a large map, by place, see `tiles`

Only the functions that write or read Arrow files need pyarrow. The service sends these files as they are.
"""
