"""Fixtures with one real PostgreSQL server that all tests of this folder share.

The server has pgvector, and asks for passwords over TCP.
"""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from real_servers import RealServer, without_pgvector

NewPlace = Callable[..., str]


@pytest.fixture(scope="package")
def server() -> Iterator[RealServer]:
    made = RealServer()
    made.do("CREATE ROLE other LOGIN CREATEDB")
    yield made
    made.remove()


@pytest.fixture(scope="package")
def new_place(server: RealServer) -> NewPlace:
    """Return a function that makes a database and the role that owns it.

    The database and the role have the same name. The function returns this name. The role has the password PASSWORD.
    `rights` are the rights of the role. If `vector` is true, the database gets the extension `vector`. `statements` are
    run in the database as superuser. In a statement, {0} stands for the name of the database and the role.
    """
    numbers = count(1)

    def make(*statements: str, rights: str = "", vector: bool = True) -> str:
        name = f"place_{next(numbers)}"
        # Copy the stored password, so that no SQL statement contains the password.
        server.do(
            f"CREATE ROLE {name} LOGIN {rights}",
            "UPDATE pg_authid SET rolpassword = (SELECT rolpassword FROM "
            f"pg_authid WHERE rolname = 'postgres') WHERE rolname = '{name}'",
        )
        server.do(f"CREATE DATABASE {name} OWNER {name}")
        extension = ["CREATE EXTENSION vector"] if vector else []
        done = [*extension, *(statement.format(name) for statement in statements)]
        if done:
            server.do(*done, database=name)
        return name

    return make


@pytest.fixture(scope="package")
def plain_server() -> Iterator[RealServer]:
    """A server of Debian's PostgreSQL package. The server supports TLS, and has no pgvector."""
    programs = without_pgvector()
    if programs is None:
        pytest.skip("Debian's PostgreSQL is not installed")
    made = RealServer(programs)
    yield made
    made.remove()
