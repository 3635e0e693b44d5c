"""What went wrong with the ledger, in a sentence that says what to do. Only words, no I/O."""

from __future__ import annotations

import sqlite3

from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError, NoResultFound, SQLAlchemyError, StatementError

from exporter.model.errors import LedgerUnavailableError
from exporter.model.redact import redact_text

TROUBLES = (SQLAlchemyError, sqlite3.Error, CommandError, OSError)
"""Everything that a database, a file or a migration may raise."""

_LOCKED = "another process holds its lock; end that process, or wait for it"
_READ_ONLY = "it is read-only; give this user the right to write the file and its folder"
_FULL = "the disk is full; free some space"
_CANNOT_OPEN = "it cannot be opened; check that the folder exists and this user may write to it"
_DAMAGED = "it is damaged or no ledger at all; it was left as it is: restore a copy"
_IO_ERROR = "the disk failed; check it, and the kernel's log"
_UNREACHABLE = "the database does not answer; check that it runs and accepts connections"
_HEADLESS = "its head is gone, so nobody knows where it ends; restore a copy"
_SCHEMA = "its tables do not fit this version; restore a copy, or start with an empty database"

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR: _IO_ERROR,
    sqlite3.SQLITE_ERROR: _SCHEMA,
}
_POSTGRESQL = {
    "55P03": _LOCKED,
    "25006": "the database is read-only, perhaps a standby; name the primary",
    "53100": _FULL,
    "53300": "the database has no connection left; raise max_connections",
    "42501": "this user may not use the tables; grant it the right",
    "28P01": "the database refuses the password",
    "28000": "the database refuses this user",
    "3D000": "the database does not exist; create it",
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "57P03": "the database is starting up or shutting down",
}
_PRIMARY_CODE = 0xFF


def is_trouble(error: BaseException) -> bool:
    """Whether the ledger failed; a statement that was wrong in itself is a mistake of ours."""
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
        return isinstance(error.orig, TROUBLES)
    return isinstance(error, TROUBLES)


def unavailable(error: BaseException, place: str) -> LedgerUnavailableError:
    """The error for whoever needed the ledger."""
    return LedgerUnavailableError(f"the ledger at {place} is unavailable: {_why(error)}")


def _why(error: BaseException) -> str:
    cause = error.orig if isinstance(error, StatementError) and error.orig else error
    detail = redact_text(" ".join(str(cause).split()))
    known = _known(cause)
    if known is None:
        return detail or type(cause).__name__
    return f"{known} ({detail})" if detail else known


def _known(cause: BaseException) -> str | None:
    if isinstance(cause, NoResultFound):
        return _HEADLESS
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return None if code is None else _SQLITE.get(code & _PRIMARY_CODE)
    if isinstance(cause, OSError):
        return _CANNOT_OPEN
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return _POSTGRESQL.get(state)
    return _UNREACHABLE if type(cause).__module__.startswith("psycopg") else None
