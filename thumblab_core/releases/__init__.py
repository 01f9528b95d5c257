"""Keep releases, which are immutable, versioned folders of artifacts, and decide which of them is served.

    <store>/<kind>/<scope>/<release_id>/manifest.json + files
    <store>/<kind>/<scope>/CURRENT                       id of the release that is served
    <store>/<kind>/<scope>/SERVED                        ids of the promoted releases, one per line
    <store>/<kind>/<scope>/HELD                          the hold, while a person keeps an older release served
    <store>/<kind>/<scope>/NUMBER                        the highest number that the scope has given

The module `release` reads one release. `release_store` publishes, lists and deletes releases. `serving` decides which
release is served. `scope_folder` manages the folder of a scope and its locks.
"""
