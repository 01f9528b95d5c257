"""Keep releases, which are immutable, versioned folders of artifacts, and decide which of them is served.

    <store>/<kind>/<scope>/<release_id>/manifest.json + files
    <store>/<kind>/<scope>/CURRENT                       id of the release that is served
    <store>/<kind>/<scope>/SERVED                        ids of the promoted releases, one per line
    <store>/<kind>/<scope>/HELD                          the hold, while a person keeps an older release served
    <store>/<kind>/<scope>/NUMBER                        the last number that was given in the scope

`release` describes one release and reads it. `release_store` publishes, lists and deletes releases. `serving` decides
which one is served. Both use `scope_folder`, which manages the folder of a scope and its locks.
"""
