"""Where the tests' own keys and tokens must never be found."""

import logging

import psycopg
from psycopg import sql
from sqlalchemy import make_url

SECRETS = (
    "AIzaSecretOfTheTests",
    "GOCSPX-SecretOfTheClient",
    "1//RefreshTokenOfTheOwner",
    "key-of-the-demo-worth-nothing",
    "PasswordOfTheDatabase",
)
"""Every key, token and password that a test gives the lab. `test_secrets.py` looks for them wherever the lab has written."""


class Leaks(logging.Handler):
    """Keeps every log record of the session that shows a secret, with its traceback, whatever the test that caused it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = self.format(record)
        if any(secret in told for secret in SECRETS):
            self.found.append(told)


LEAKS = Leaks()


def rows_with_a_secret(url: str) -> list[str]:
    """Tables of a database in which any column of any row shows a secret."""
    address = make_url(url)
    patterns = [f"%{secret}%" for secret in SECRETS]
    # Not by SQLAlchemy, whose first connection asks five questions: a session has hundreds of databases.
    with psycopg.connect(
        host=str(address.query["host"]), port=5432, user=address.username, dbname=address.database
    ) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        each = [
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {} AS t WHERE t::text LIKE ANY({}))").format(
                sql.Literal(name), sql.Identifier("public", name), patterns
            )
            for (name,) in names
        ]
        if not each:
            return []
        return [f"{address.database}.{name}" for (name,) in connection.execute(sql.SQL(" UNION ALL ").join(each))]
