"""Say in one sentence why the database cannot be used: what is wrong, and what to do.

No sentence contains a password. A sentence contains at most the first line of a message of the server or the driver.
Such a message contains no password.
"""

import re
from dataclasses import dataclass

from thumblab_core.errors import LabError

SETTING = "THUMBLAB_DATABASE_URL"
ADVICE = f"Check {SETTING}, and check that its server runs"


class DatabaseTroubleError(LabError):
    """The database cannot be used now. The message is for the user."""

    def __init__(self, message: str, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True)
class _Kind:
    """A kind of trouble, and how to recognise it in an error of the server or of the driver."""

    says: str
    """What is wrong. The reason that the server or the driver gave follows in brackets."""
    advice: str
    states: tuple[str, ...]
    """The error codes (SQLSTATE) of the kind. A code of two characters stands for all codes that start with it."""
    words: str
    """A regular expression for the message. The expression is used if the error has no code. For example, an error
    while connecting has no code.
    """
    transient: bool = False


_KINDS = (
    _Kind(
        "The server takes no more connections",
        "Close programs that use the database, or raise max_connections of the server or the size of the pooler's pool",
        ("53300",),
        r"too many clients|too many connections|remaining connection slots|max clients reached|no more connections",
        transient=True,
    ),
    _Kind(
        "The database server is starting, stopping or recovering",
        "Wait a moment and run the command again",
        ("57P03",),
        r"is starting up|is shutting down|in recovery mode|not yet accepting connections|not accepting connections",
        transient=True,
    ),
    _Kind(
        f"The server refuses the user or the password of {SETTING}",
        "Correct the user and the password; in the URL, write each special character as % and its code, such as %40 for @",
        ("28",),
        r"authentication failed|no password supplied|role .* does not exist|Tenant or user not found|"
        r"not permitted to log in|server login",
    ),
    _Kind(
        f"The server has no database with the name in {SETTING}",
        "Correct the name at the end of the URL, or ask the server's administrator to create the database",
        ("3D000",),
        r"database .* does not exist|no such database",
    ),
    _Kind(
        f"The server has no TLS, but {SETTING} demands TLS",
        "Turn on ssl on the server, or write sslmode=prefer in the URL if the network is safe",
        (),
        r"server does not support SSL",
    ),
    _Kind(
        f"The certificate of the server of {SETTING} cannot be verified",
        "Add sslrootcert=PATH to the URL, with the file of the authority's certificate; use the host name that is in the "
        "server's certificate",
        (),
        r"certificate verify failed|root certificate file|does not match host name|SSL error",
    ),
    _Kind(
        f"The server does not let the user of {SETTING} connect from this machine in this way",
        "Ask the server's administrator for a line in pg_hba.conf, or write sslmode=require in the URL if the server "
        "demands TLS",
        (),
        r"no pg_hba.conf entry|pg_hba.conf rejects|SSL required|requires? SSL",
    ),
    _Kind(
        f"The host in {SETTING} cannot be found",
        "Correct the host name, and check that this machine can resolve names",
        (),
        r"could not translate host name|could not (resolve|parse) .*(host|address)|failed to resolve host|"
        r"Name or service not known|No address associated",
    ),
    _Kind(
        f"A parameter of {SETTING} has a value that cannot be used",
        "Correct the value in the URL",
        (),
        r"bad value for|invalid .* value|invalid port",
    ),
    _Kind(
        "The pooler in front of the server refuses a parameter that the lab needs",
        f"Set {SETTING} to the server's own address, or to the port of the pooler's session mode",
        (),
        r"unsupported startup parameter",
    ),
    _Kind(
        "A pooler in front of the server mixes up the lab's statements",
        f"Set {SETTING} to the server's own address, or to the port of the pooler's session mode",
        ("26000", "42P05"),
        r"prepared statement .* (does not exist|already exists)",
    ),
    _Kind(
        "The database is read-only",
        f"Set {SETTING} to the primary server, and not to a standby; if this is the primary, set "
        "default_transaction_read_only to off for the role and the database",
        ("25006",),
        r"read-only transaction",
    ),
    _Kind(
        "Another session holds a lock that the lab needs",
        "Run the command again when the other session has ended",
        ("55P03", "40P01"),
        r"lock timeout",
        transient=True,
    ),
    _Kind(
        "The server ended a statement of the lab",
        f"Raise statement_timeout for the role of {SETTING}, or run the command again when the server has less to do",
        ("57014", "25P03", "25P04"),
        r"statement timeout|due to user request",
        transient=True,
    ),
    _Kind(
        "The disk of the database server is full",
        "Free space on that disk, then run the same command or job again: it continues with what is missing",
        ("53100",),
        r"No space left",
        transient=True,
    ),
    _Kind(
        "The database server has too little memory",
        "Run fewer programs at the same time, or give the server more memory",
        ("53200",),
        r"out of (shared )?memory",
        transient=True,
    ),
    _Kind(
        f"The role of {SETTING} has no schema in which the lab may make its tables",
        "Ask the server's administrator to make the schemas of the role's search_path, or to run: "
        "GRANT USAGE, CREATE ON SCHEMA public TO the role",
        ("3F000",),
        r"no schema has been selected",
    ),
    _Kind(
        "The database refuses a right that the lab needs",
        f"Ask its administrator to grant the right to the role of {SETTING}",
        ("42501",),
        r"permission denied",
    ),
    _Kind(
        "The database ended the connection: it was stopped or restarted, or cannot be reached",
        "Check that its server runs, then run the same command or job again: it continues with what is missing",
        ("57P01", "57P02", "57P05", "08"),
        r"closed the connection|terminating connection|connection (was|is|has been) (lost|closed)|"
        r"connection already closed|Connection reset|Broken pipe",
        transient=True,
    ),
)


def trouble_of(error: BaseException) -> DatabaseTroubleError | None:
    """Return the error for the user, if `error` means that the database cannot be used. Otherwise return None.

    `error` comes from psycopg or psycopg2, or from SQLAlchemy, which wraps the errors of both drivers.
    """
    cause = getattr(error, "orig", None) or error
    if not _of_a_driver(cause):
        return None
    code, reason = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None), first_line(cause)
    for kind in _KINDS:
        if code.startswith(kind.states) if code else re.search(kind.words, reason, re.IGNORECASE):
            return DatabaseTroubleError(f"{kind.says} ({reason}). {kind.advice}", kind.transient)
    # A driver's error has no code if connecting failed, or if the connection was cut.
    if code is None and (_named(cause, "OperationalError") or getattr(error, "connection_invalidated", False)):
        return DatabaseTroubleError(f"The database does not answer: {reason}. {ADVICE}", transient=True)
    return None


def first_line(cause: BaseException) -> str:
    """Return the first line of the server's message without a full stop. If the server sent no message, return the
    first line of the driver's message.

    Neither of the two messages contains a password.
    """
    message = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause).strip()
    return re.sub(r"\s+", " ", (message or "no reason given").splitlines()[0]).rstrip(". ")


def _of_a_driver(cause: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] in ("psycopg", "psycopg2") for kind in type(cause).__mro__)


def _named(cause: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(cause).__mro__)
