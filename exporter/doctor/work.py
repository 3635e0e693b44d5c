"""What became of the work of one service or key: the narrow questions behind ``why``.

What a scan knows to be stuck is not asked for again; what it means is ``exporter.why``'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from exporter.doctor.probe import ProbeContext
from exporter.model.views import InvocationItem, InvocationsView
from exporter.model.work import Call, Work
from exporter.restate_api import Exact, Lookups

LIMIT: Final = 20
"""How many are looked at."""
_JOURNALS: Final = 3
"""Of how many the journal is read, for their timers."""
_HELD = ("suspended", "completed")
_WAITING = ("inboxed", "scheduled")


async def look(
    context: ProbeContext,
    service: str,
    key: str | None,
    *,
    version: str,
    scan: InvocationsView | None = None,
) -> Work:
    """Read the invocations of a key, or what is stuck of a service (by ``scan``) and its newest.

    Raises CallFailedError when the server cannot tell.
    """
    ask = context.api.lookups
    if key is not None:
        found = await ask.newest(service, key, version=version, limit=LIMIT + 1)
        listed, complete = found[:LIMIT], len(found) <= LIMIT
    else:
        stuck = _stuck(service, scan)[:LIMIT]
        newest = await context.scans.alone(
            lambda: ask.newest(service, None, version=version, limit=LIMIT)
        )
        also = await ask.by_id({one.id for one in stuck} - {one.item.id for one in newest})
        listed, complete = (*also.values(), *newest), True
    return Work(await _calls(ask, listed), complete)


def _stuck(service: str, scan: InvocationsView | None) -> list[InvocationItem]:
    """What the doctor's scan found to be stuck, of this service."""
    lists = (scan.paused, scan.zombies, scan.retrying) if scan else ()
    return [item for items in lists for item in items if item.service == service]


async def _calls(ask: Lookups, listed: Iterable[Exact]) -> tuple[Call, ...]:
    """Add what other tables know: who paused it, its attempts, its timers."""
    found = {one.item.id: one for one in listed}
    found |= await ask.paused_by_id([i for i, one in found.items() if one.status == "paused"])
    running = [i for i, one in found.items() if one.active and one.status not in _WAITING]
    attempts = await ask.attempts_of(running)
    held = [one for one in found.values() if one.status in _HELD and one.result != "success"]
    held.sort(key=lambda one: (one.status != "suspended", -one.item.created_at.timestamp()))
    journals = {one.item.id: await ask.journal(one.item.id) for one in held[:_JOURNALS]}
    calls: list[Call] = []
    for id_, one in found.items():
        call = Call(
            item=one.item,
            status=one.status,
            result=one.result,
            failure=one.failure,
            starts_at=one.starts_at,
        )
        if id_ in attempts and one.status != "paused":
            tried = attempts[id_]
            call = replace(
                call,
                item=replace(
                    one.item,
                    retries=tried.retries,
                    error=tried.error,
                    error_code=tried.error_code,
                ),
                failing=tried.failing,
                in_flight=tried.in_flight,
                next_retry_at=tried.next_retry_at,
            )
        if id_ in journals:
            known = journals[id_]
            call = replace(call, sleeps_until=known.sleeps_until, journal_kept=known.kept)
        calls.append(call)
    return tuple(calls)
