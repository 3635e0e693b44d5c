"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

from exporter.ledger.texts import Json, canonical

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""An entry number. On SQLite only INTEGER makes a primary key the row's own number."""


class UtcTime(TypeDecorator[datetime]):
    """An aware moment, stored as UTC to the microsecond. A naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn it into UTC: SQLite stores the digits only."""
        del dialect
        if value is not None and value.tzinfo is None:
            msg = f"{value} has no time zone"
            raise ValueError(msg)
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read it as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Json]):
    """Plain JSON data as canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json | None, dialect: Dialect) -> str | None:
        """Write the canonical form."""
        del dialect
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        """Read it back."""
        del dialect
        return None if value is None else json.loads(value)
