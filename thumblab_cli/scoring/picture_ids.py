"""Give pictures ids that the service accepts. A path or URL may be too long for an id, or have forbidden characters."""

import os
from collections.abc import Iterable

from thumblab_serving.schemas.item_id import MAX_ID, cleaned_id


def picture_ids(names: Iterable[str]) -> dict[str, str]:
    """Return a distinct id for each distinct path or URL. Most paths and URLs are valid ids, and are used unchanged."""
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        # The name of a file may contain bytes that are not UTF-8. Such bytes are escaped.
        own = id_ = cleaned_id(os.fsencode(name).decode(errors="backslashreplace"))
        number = 2
        while id_ in taken:
            end = f" ({number})"
            id_, number = own[: MAX_ID - len(end)] + end, number + 1
        ids[name] = id_
        taken.add(id_)
    return ids
