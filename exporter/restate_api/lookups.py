"""Narrow questions about a few invocations or one key, asked right before something is written.

Look-ups by id and by key are cheap on any server (restate-facts, Invocations). Every method raises
CallFailedError as ``Query.rows`` does; no row is an answer: there is no such thing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.model.views import COMPLETED, InvocationItem
from exporter.restate_api.invocations import ITEM_COLUMNS, TEXT_LENGTH, Invocations
from exporter.restate_api.items import item as item_of
from exporter.restate_api.items import paused_item
from exporter.restate_api.query import Query, literal, literals
from exporter.restate_api.rows import AttemptRow, ExactRow, KeyRow, SleepRow
from exporter.transport import clean_text

_SCOPES_SINCE = (1, 7, 3)
_EXACT = (
    # Without scheduled_at beside it, scheduled_start_at is null (live 1.6.2 and 1.7.12).
    f"SELECT {ITEM_COLUMNS}, completion_result, scheduled_at, scheduled_start_at "  # noqa: S608 - constants
    "FROM sys_invocation_status WHERE "
)
_AT_ONCE = 100
"""Ids in one question."""


@dataclass(frozen=True, slots=True)
class Exact:
    """One invocation as it is right now."""

    item: InvocationItem
    status: str
    """In the words of ``sys_invocation_status``; one we do not know counts as active."""
    result: str | None = None
    """``success`` or ``failure``, once completed."""
    completed_at: datetime | None = None
    failure: str = ""
    starts_at: datetime | None = None
    """When it begins, of what is scheduled."""

    @property
    def active(self) -> bool:
        """Whether it is not completed."""
        return self.status != COMPLETED


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the leader knows of an invocation's attempts since it was started or resumed."""

    failing: bool = False
    """The last attempt that ended, failed."""
    in_flight: bool = False
    """One is running now."""
    retries: int = 0
    """How many failed."""
    error_code: str = ""
    error: str = ""
    next_retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """What the journal of an invocation says about sleeping."""

    kept: bool
    """False when there is none any more (its retention is over): nothing is known."""
    sleeps_until: datetime | None = None
    """The latest moment, after the server's own now, at which a sleep of it fires."""


class Lookups:
    """Asks about what is named, never about everything."""

    def __init__(self, query: Query, invocations: Invocations) -> None:
        self._query = query
        self._invocations = invocations

    async def by_id(self, ids: Collection[str]) -> dict[str, Exact]:
        """Those of these invocations that exist, by id."""
        wanted = sorted(set(ids))
        found: dict[str, Exact] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = literals(wanted[start : start + _AT_ONCE])
            rows = await self._query.rows(f"{_EXACT}id IN ({some})", ExactRow)
            found |= {row.id: _exact(row) for row in rows}
        return found

    async def paused_by_id(self, ids: Collection[str]) -> dict[str, Exact]:
        """The same; of those that are paused also why, and who paused them."""
        found = await self.by_id(ids)
        paused = sorted(i for i, one in found.items() if one.status == "paused")
        for start in range(0, len(paused), _AT_ONCE):
            some = paused[start : start + _AT_ONCE]
            events, states = await self._invocations.pauses(some)
            for id_ in some:
                one = found[id_]
                item = paused_item(one.item, events.get(id_), states.get(id_))
                found[id_] = Exact(item, one.status)
        return found

    async def of_key(self, service: str, key: str, *, version: str) -> tuple[Exact, ...]:
        """Every invocation of a key of a workflow or object, oldest first, without scope."""
        rows = await self._query.rows(
            f"{_EXACT}target_service_name = {literal(service)} "
            f"AND target_service_key = {literal(key)}{_unscoped(version)} ORDER BY created_at, id",
            ExactRow,
        )
        return tuple(_exact(row) for row in rows)

    async def journal(self, invocation_id: str) -> Journal:
        """Whether its journal is kept, and until when it has a timer running.

        A timer outlives its run: before 1.8 it fires into the next run of a workflow key.
        """
        rows = await self._query.rows(
            "SELECT index AS position, entry_type, entry_lite_json, sleep_wakeup_at, now() AS now "  # noqa: S608 - literal()
            f"FROM sys_journal WHERE id = {literal(invocation_id)} "
            "AND (index = 0 OR entry_type LIKE '%Sleep%')",
            SleepRow,
        )
        return Journal(bool(rows), max(_running(rows), default=None))

    async def left_of_key(self, service: str, key: str, *, version: str) -> tuple[str, ...]:
        """What is left of a key without a run: ``state NAME`` and ``promise NAME``."""
        where = (
            f"service_name = {literal(service)} AND service_key = {literal(key)}"
            f"{_unscoped(version)} ORDER BY key"
        )
        names: list[str] = []
        for table, word in (("state", "state"), ("sys_promise", "promise")):
            rows = await self._query.rows(f"SELECT key FROM {table} WHERE {where}", KeyRow)  # noqa: S608
            names += [f"{word} {row.key}" for row in rows]
        return tuple(names)

    async def newest(
        self, service: str, key: str | None, *, version: str, limit: int
    ) -> tuple[Exact, ...]:
        """At most ``limit`` invocations of a service or key: paused, then active, then newest.

        With a key it is cheap; without one it reads every invocation there is.
        """
        of_key = ""
        if key is not None:
            of_key = f" AND target_service_key = {literal(key)}{_unscoped(version)}"
        rows = await self._query.rows(
            f"{_EXACT}target_service_name = {literal(service)}{of_key} ORDER BY CASE "
            "WHEN status = 'paused' THEN 0 "
            "WHEN status IN ('completed', 'inboxed', 'scheduled') THEN 2 ELSE 1 END, "
            f"created_at DESC, id LIMIT {limit:d}",
            ExactRow,
        )
        return tuple(_exact(row) for row in rows)

    async def attempts(self, invocation_id: str) -> Attempts:
        """Whether it is failing (again) since it was resumed."""
        return (await self.attempts_of([invocation_id])).get(invocation_id, Attempts())

    async def attempts_of(self, ids: Collection[str]) -> dict[str, Attempts]:
        """The attempts of those that the invoker holds: neither waiting nor paused nor suspended.

        ``retry_count`` counts starts, so it is 1 for a first attempt that runs fine (live).
        """
        if not ids:
            return {}
        rows = await self._query.rows(
            "SELECT id, in_flight, retry_count, last_failure IS NOT NULL AS failed, "  # noqa: S608 - literals()
            "last_failure_error_code, next_retry_at, "
            f"substr(last_failure, 1, {TEXT_LENGTH}) AS failure "
            f"FROM sys_invocation_state WHERE id IN ({literals(ids)})",
            AttemptRow,
        )
        return {row.id: _attempts(row) for row in rows}


def version_of(text: str) -> tuple[int, ...]:
    """``1.7.12`` as numbers that compare; what follows them (``-dev``) is left out."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _unscoped(version: str) -> str:
    """Only what has no scope: 1.7.3 and later know scopes, earlier ones not even the column."""
    return " AND scope IS NULL" if version_of(version) >= _SCOPES_SINCE else ""


def _exact(row: ExactRow) -> Exact:
    return Exact(
        item_of(row),
        row.status,
        row.completion_result,
        row.completed_at,
        row.failure,
        row.scheduled_start_at,
    )


def _attempts(row: AttemptRow) -> Attempts:
    return Attempts(
        failing=row.failed,
        in_flight=row.in_flight,
        retries=max(0, row.retry_count - int(row.in_flight)),
        error_code=row.last_failure_error_code,
        error=clean_text(row.failure),
        next_retry_at=row.next_retry_at,
    )


def _running(rows: Iterable[SleepRow]) -> Iterable[datetime]:
    """The wake-up times that are still to come by the server's own clock."""
    for row in rows:
        at = row.sleep_wakeup_at or _wake_up(row.entry_lite_json)
        if "Sleep" in row.entry_type and at is not None and at > row.now:
            yield at


def _wake_up(lite: str | None) -> datetime | None:
    """From the journal's present form; the older one has a column of its own."""
    try:
        sleep = json.loads(lite or "{}")["Command"]["Sleep"]
        return datetime.fromtimestamp(sleep["wake_up_time"] / 1000, tz=UTC)
    except (ValueError, KeyError, TypeError):
        return None
