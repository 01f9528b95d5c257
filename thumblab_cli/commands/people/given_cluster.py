"""Find the cluster that an argument of `thumblab people` names: by its id, or by the name of a person."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from sqlalchemy import Connection


def cluster_id_of(connection: "Connection", given: str) -> str:
    """Return `given` if it looks like an id, and otherwise the id of the person with this name.

    Upper and lower case are equal in names. Raises `UnknownFaceError` if `given` is neither an id nor a name that the
    lab has.
    """
    from thumblab_core.given_text import not_utf8
    from thumblab_core.people.clusters import cluster_named
    from thumblab_core.people.errors import UnknownFaceError
    from thumblab_core.people.names import key_in, name_key

    try:
        key_in(given)
    except UnknownFaceError as error:
        person = None if not_utf8(given) else cluster_named(connection, name_key(given))
        if person is None:
            raise UnknownFaceError(
                f"{error}, and no person has this name; `thumblab people show` lists the people"
            ) from None
        return person.id
    return given
