"""Where the tests' own keys and tokens must never be found."""

import logging

from sqlalchemy import create_engine, inspect, make_url, text

SECRETS = (
    "AIzaSecretOfTheTests",
    "GOCSPX-SecretOfTheClient",
    "1//RefreshTokenOfTheOwner",
    "key-of-the-demo-worth-nothing",
)
"""Every key and token that a test gives the lab. `test_secrets.py` looks for them wherever the lab has written."""


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
    engine = create_engine(url)
    found = []
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            query = text(f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE ANY(:patterns)')
            patterns = [f"%{secret}%" for secret in SECRETS]
            if connection.execute(query, {"patterns": patterns}).scalar_one():
                found.append(f"{make_url(url).database}.{table}")
    engine.dispose()
    return found
