"""Invocations as SQL sees them: one grouped scan, bounded lists, narrow look-ups.

Each scan over ``sys_invocation_status`` reads every invocation there is, whatever its ``WHERE``
says; look-ups by id, and ``sys_invocation_state``, are cheap (restate-facts, Invocations). So the
caller asks for a list only when the grouped scan shows that it is not empty, and never asks two
questions at once.
What a row means is in ``items``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.model.views import (
    COMPLETED,
    FailedRun,
    InvocationGroup,
    InvocationItem,
    RecentFailure,
)
from exporter.restate_api.items import (
    EVENT_HEAD,
    EVENT_TAIL,
    completed_item,
    group,
    item,
    paused_item,
    recent_failure,
    retrying_item,
)
from exporter.restate_api.query import Query, literal, literals
from exporter.restate_api.rows import (
    CountRow,
    ExactRow,
    GroupRow,
    InvocationRow,
    KeyCountRow,
    PausedEventRow,
    StateRow,
    StateTotals,
)
from exporter.transport import clean_text

LIST_LIMIT = 500
RECENT_FAILURES = 20
JOURNAL_MISMATCH = "RT0016"
TEXT_LENGTH = 500
"""How many characters of a failure are read."""
_T = TypeVar("_T")

ITEM_COLUMNS = (
    "id, target_service_name, target_service_ty, target_service_key, target_handler_name, status, "
    "pinned_deployment_id, created_at, modified_at, completed_at, "
    f"substr(completion_failure, 1, {TEXT_LENGTH}) AS failure"
)
_FAILED = "status = 'completed' AND completion_result = 'failure'"
_TROUBLED = "(retry_count > 1 OR last_failure IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Listed(Generic[_T]):
    """At most ``LIST_LIMIT`` items; ``complete`` is false when there are more."""

    items: tuple[_T, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class GroupedScan:
    """Every invocation, counted."""

    groups: tuple[InvocationGroup, ...]
    failures_24h: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """Running invocations whose last attempt failed; the counts are upper bounds of a cut list."""

    listed: Listed[InvocationItem] = Listed()
    count: int = 0
    journal_mismatches: int = 0


class Invocations:
    """Questions about invocations. Every method raises CallFailedError as ``Query.rows`` does."""

    def __init__(self, query: Query) -> None:
        self._query = query

    async def scan(self) -> GroupedScan:
        """Count every invocation by pin, service, status and result: the one expensive question."""
        rows = await self._query.rows(
            "SELECT pinned_deployment_id, target_service_name, target_service_ty, status, "
            "completion_result, COUNT(1) AS n, MIN(created_at) AS oldest_created, "
            "MIN(modified_at) AS oldest_modified, "
            "SUM(CASE WHEN completion_result = 'failure' "
            "AND modified_at > now() - INTERVAL '1 day' THEN 1 ELSE 0 END) AS failures_24h "
            "FROM sys_invocation_status GROUP BY pinned_deployment_id, target_service_name, "
            "target_service_ty, status, completion_result",
            GroupRow,
        )
        return GroupedScan(
            groups=tuple(group(row) for row in rows),
            failures_24h=sum(row.failures_24h for row in rows if row.status == COMPLETED),
        )

    async def recent_failures(self) -> tuple[RecentFailure, ...]:
        """The newest completed invocations that failed, newest ``modified_at`` first."""
        rows = await self._items(_FAILED, "modified_at DESC", RECENT_FAILURES)
        return tuple(recent_failure(row) for row in rows)

    async def failed_runs(
        self, *, shared_handlers: Mapping[str, Collection[str]], siblings: bool
    ) -> Listed[FailedRun]:
        """Workflow runs that completed with a failure, oldest first.

        Args:
            shared_handlers: By workflow, the handlers known to be shared: their failures are not
                failed runs. What is not known to be shared counts as a run.
            siblings: Whether any non-completed workflow invocation exists, so that it is worth
                asking how many there are of each key.
        """
        shared = "".join(
            f" AND NOT (target_service_name = {literal(service)}"
            f" AND target_handler_name IN ({literals(handlers)}))"
            for service, handlers in sorted(shared_handlers.items())
            if handlers
        )
        rows = await self._items(
            f"target_service_ty = 'workflow' AND {_FAILED}{shared}", "modified_at", LIST_LIMIT + 1
        )
        runs = rows[:LIST_LIMIT]
        active = await self._active_keys(runs) if siblings and runs else {}
        return Listed(
            tuple(
                FailedRun(
                    id=row.id,
                    service=row.target_service_name,
                    key=row.target_service_key or "",
                    handler=row.target_handler_name,
                    created_at=row.created_at,
                    completed_at=row.completed_at or row.modified_at,
                    error=clean_text(row.failure),
                    active_siblings=active.get(
                        (row.target_service_name, row.target_service_key or ""), 0
                    ),
                )
                for row in runs
            ),
            complete=len(rows) <= LIST_LIMIT,
        )

    async def paused(self) -> Listed[InvocationItem]:
        """Paused invocations, longest paused first, with why, and who paused them."""
        rows = await self._items("status = 'paused'", "modified_at", LIST_LIMIT + 1)
        listed = rows[:LIST_LIMIT]
        events, states = await self.pauses([row.id for row in listed])
        return Listed(
            tuple(paused_item(item(row), events.get(row.id), states.get(row.id)) for row in listed),
            complete=len(rows) <= LIST_LIMIT,
        )

    async def retrying(self) -> Retrying:
        """Invocations whose last attempt failed and that will be tried again, most tries first."""
        states = await self._query.rows(
            f"SELECT id, in_flight, retry_count, last_failure_error_code, "  # noqa: S608 - constants
            f"substr(last_failure, 1, {TEXT_LENGTH}) AS failure FROM sys_invocation_state "
            f"WHERE {_TROUBLED} ORDER BY retry_count DESC LIMIT {LIST_LIMIT + 1}",
            StateRow,
        )
        if not states:
            return Retrying()
        listed = {state.id: state for state in states[:LIST_LIMIT]}
        complete = len(states) <= LIST_LIMIT
        rows = {row.id: row for row in await self._by_id(listed)}
        items = tuple(
            retrying_item(rows[id_], state)
            for id_, state in listed.items()
            if id_ in rows and rows[id_].status not in {COMPLETED, "paused"}
        )
        mismatches = sum(item.error_code == JOURNAL_MISMATCH for item in items)
        if complete:
            return Retrying(Listed(items), len(items), mismatches)
        totals = await self._state_totals()
        return Retrying(
            Listed(items, complete=False),
            totals.n - (len(listed) - len(items)),
            totals.mismatched or 0,
        )

    async def pinned_to(self, deployment_ids: Iterable[str]) -> Listed[InvocationItem]:
        """Non-completed invocations pinned to these deployments, longest unchanged first."""
        rows = await self._items(
            f"status <> 'completed' AND pinned_deployment_id IN ({literals(deployment_ids)})",
            "modified_at",
            LIST_LIMIT + 1,
        )
        return Listed(
            tuple(item(row) for row in rows[:LIST_LIMIT]), complete=len(rows) <= LIST_LIMIT
        )

    async def completed(self, services: Collection[str]) -> Listed[InvocationItem]:
        """What has completed of these services (none named: of all), from both ends of time.

        Each service's successes and failures get their share: the oldest for whoever forgets, the
        newest for whoever repeats; of what is too much the middle is left out. Window functions
        are known to live 1.6.2 and 1.7.12.
        """
        named = f" AND target_service_name IN ({literals(services)})" if services else ""
        group = "PARTITION BY target_service_name, completion_result ORDER BY modified_at"
        rows = await self._query.rows(
            "SELECT * FROM (SELECT "  # noqa: S608 - literal()
            f"{ITEM_COLUMNS}, completion_result, ROW_NUMBER() OVER ({group}, id) AS oldest, "
            f"ROW_NUMBER() OVER ({group} DESC, id DESC) AS newest FROM sys_invocation_status "
            f"WHERE status = 'completed'{named}) "
            f"ORDER BY LEAST(oldest, newest), modified_at, id LIMIT {LIST_LIMIT + 1}",
            ExactRow,
        )
        listed = sorted(rows[:LIST_LIMIT], key=lambda row: (row.modified_at, row.id))
        return Listed(
            tuple(completed_item(row) for row in listed), complete=len(rows) <= LIST_LIMIT
        )

    async def active_count_pinned(self, deployment_ids: Collection[str]) -> dict[str, int]:
        """How many non-completed invocations are pinned to each of these deployments."""
        return await self._count("pinned_deployment_id", deployment_ids)

    async def active_unpinned(self, services: Collection[str]) -> dict[str, int]:
        """How many non-completed invocations of each of these services have no pin yet."""
        return await self._count(
            "target_service_name", services, also=" AND pinned_deployment_id IS NULL"
        )

    async def _count(self, column: str, names: Collection[str], also: str = "") -> dict[str, int]:
        counts = dict.fromkeys(names, 0)
        if counts:
            rows = await self._query.rows(
                f"SELECT {column} AS name, COUNT(1) AS n FROM sys_invocation_status "  # noqa: S608
                f"WHERE status <> 'completed'{also} AND {column} IN ({literals(names)}) "
                f"GROUP BY {column}",
                CountRow,
            )
            counts |= {row.name: row.n for row in rows}
        return counts

    async def _items(self, where: str, order: str, limit: int) -> list[InvocationRow]:
        return await self._query.rows(
            f"SELECT {ITEM_COLUMNS} FROM sys_invocation_status WHERE {where} "  # noqa: S608 - literal()
            f"ORDER BY {order} LIMIT {limit}",
            InvocationRow,
        )

    async def _by_id(self, ids: Iterable[str]) -> list[InvocationRow]:
        return await self._items(f"id IN ({literals(ids)})", "id", LIST_LIMIT)

    async def _active_keys(self, runs: list[InvocationRow]) -> dict[tuple[str, str], int]:
        keys = literals(run.target_service_key or "" for run in runs)
        rows = await self._query.rows(
            "SELECT target_service_name AS service, target_service_key AS key, "  # noqa: S608
            "COUNT(1) AS n FROM sys_invocation_status WHERE target_service_ty = 'workflow' "
            f"AND status <> 'completed' AND target_service_key IN ({keys}) "
            "GROUP BY target_service_name, target_service_key",
            KeyCountRow,
        )
        return {(row.service, row.key): row.n for row in rows}

    async def pauses(self, ids: list[str]) -> tuple[dict[str, PausedEventRow], dict[str, StateRow]]:
        """The newest ``Paused`` event of each, and the attempts their leader still remembers."""
        if not ids:
            return {}, {}
        events = await self._query.rows(
            f"SELECT id, length(event_json) AS size, left(event_json, {EVENT_HEAD}) AS head, "  # noqa: S608
            f"right(event_json, {EVENT_TAIL}) AS tail FROM (SELECT id, event_json, "
            "ROW_NUMBER() OVER (PARTITION BY id ORDER BY appended_at DESC) AS nth "
            "FROM sys_journal_events "
            f"WHERE event_type = 'Paused' AND id IN ({literals(ids)})) WHERE nth = 1",
            PausedEventRow,
        )
        states = await self._query.rows(
            "SELECT id, in_flight, retry_count FROM sys_invocation_state "  # noqa: S608
            f"WHERE id IN ({literals(ids)})",
            StateRow,
        )
        return {row.id: row for row in events}, {row.id: row for row in states}

    async def _state_totals(self) -> StateTotals:
        rows = await self._query.rows(
            f"SELECT COUNT(1) AS n, SUM(CASE WHEN last_failure_error_code = '{JOURNAL_MISMATCH}' "  # noqa: S608
            f"THEN 1 ELSE 0 END) AS mismatched FROM sys_invocation_state WHERE {_TROUBLED}",
            StateTotals,
        )
        return rows[0] if rows else StateTotals(n=0)
