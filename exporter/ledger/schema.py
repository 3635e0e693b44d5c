"""Brings a database to this version's tables, and refuses one that is newer.

The steps are Alembic's, in ``migrations/versions``; no configuration file is needed.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from exporter.ledger.engine import for_writing, place
from exporter.model.errors import LedgerUnavailableError

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = 7_262_331_994_012
"""PostgreSQL's advisory lock under which processes that start together migrate in turn."""


def prepare(engine: Engine) -> None:
    """Create or upgrade the tables, all or nothing. A database that is current is only read."""
    steps = ScriptDirectory.from_config(alembic_config())
    with engine.connect() as connection:
        if _revision(connection, steps) == steps.get_current_head():
            return
    with for_writing(engine).connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ONE_AT_A_TIME}
            )
        _revision(connection, steps)
        command.upgrade(alembic_config(connection), "head")


def _revision(connection: Connection, steps: ScriptDirectory) -> str | None:
    """Where the database stands. LedgerUnavailableError when this version does not know it."""
    found = MigrationContext.configure(connection).get_current_heads()
    known = {step.revision for step in steps.walk_revisions()}
    if any(revision not in known for revision in found):
        where = place(connection.engine.url)
        msg = (
            f"the ledger at {where} was written by a newer restate-medic (its tables are at"
            f" {', '.join(found)}, this version knows up to {steps.get_current_head()});"
            " run that version, or another storage.url"
        )
        raise LedgerUnavailableError(msg)
    return found[0] if found else None


def alembic_config(connection: Connection | None = None) -> Config:
    """What Alembic needs to know: where the steps are, and the connection they run on."""
    config = Config(attributes={"connection": connection})
    # Alembic expands % in options.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
