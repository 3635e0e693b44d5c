"""What it costs to check a ledger: entries a second, with a key and without, and a night's report.

The ledger is made for it, on a temporary SQLite file: decisions that change, and operations from
their reservation to their end. By hand: ``python -m tests.benchmarks.ledger``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.ledger.engine import connect, ledger_url
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import inspect
from exporter.ledger.schema import prepare
from exporter.ledger.sealing import NO_KEYS, ChainKey, ChainKeys
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import ActResult, Budget, Outcome, Phase, Plan, PolicyRef, Request
from exporter.report.gather import report
from exporter.report.markdown import to_markdown

ENTRIES = 20_000
AIM_PER_SECOND = 10_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LEASE = timedelta(minutes=1)
_BUDGET = Budget(timedelta(0))
_AT_ONCE = 50
_REASONS = (HoldReason.PENDING, HoldReason.COOLDOWN, None)


@dataclass(frozen=True, slots=True)
class LedgerResult:
    """Of one run, on wall clocks; the largest wait is that of whoever else wants the ledger."""

    entries: int
    plain_per_second: float
    keyed_per_second: float
    longest_wait_ms: float
    report_ms: float
    """The report of the last day, whatever came before it."""


def fill(store: Store, entries: int) -> datetime:
    """One in twenty rounds repairs something; returns when the last one ended."""
    now, number = _START, 0
    while store.head().seq < entries:
        now, number = now + timedelta(minutes=1), number + 1
        reason = _REASONS[number % len(_REASONS)]
        result = Result.CLEAR if reason is None else Result.HOLD
        subjects = (Subject("resume", "prod", f"inv_{n:04}") for n in range(_AT_ONCE))
        values = {"item.age": "2h", "item.error": "it did not answer in time"}
        changed = [Decision(one, result, reason, "waits", values=values) for one in subjects]
        store.note_changes(changed, now)
        _repair(store, f"prod-{number % 7}", now)
    return now


def _repair(store: Store, target: str, now: datetime) -> None:
    request = Request(
        target=target,
        remedy="force-redeploy",
        arguments={"url": "http://worker:9080/"},
        source="policy",
        actor="policy:heal",
        mode=Mode.ENFORCE,
        policy=PolicyRef("heal", "abc123"),
        budget=_BUDGET,
        values={"services.missing": ["Orders"]},
        true_since=now - timedelta(minutes=2),
    )
    plan = Plan("force-redeploy", target, "register it again", request.arguments)
    row = store.reserve(request, plan, owner="me", lease=_LEASE, now=now)
    store.advance(row.id, Phase.ACTING, owner="me", lease=_LEASE, now=now)
    store.mark_acted(row.id, ActResult(), owner="me", lease=_LEASE, now=now)
    store.finish(row.id, Outcome.VERIFIED, owner="me", now=now)


@contextmanager
def made(entries: int, keys: ChainKeys) -> Iterator[tuple[str, datetime]]:
    """The URL of a ledger with so many entries, and when its last one was written."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'medic.db'}"
        engine = connect(ledger_url(url), keys=keys)
        prepare(engine)
        end = fill(Store(engine), entries)
        engine.dispose()
        yield url, end


async def _verify(url: str, keys: ChainKeys) -> tuple[int, float, float]:
    """Entries, how many of them a second, and the longest time from page to page."""
    ledger, pages = Ledger(url, keys=keys), [time.perf_counter()]
    try:
        found = await inspect(ledger, on_progress=lambda *_: pages.append(time.perf_counter()))
        pages.append(time.perf_counter())
    finally:
        await ledger.close()
    if found.flaw is not None:
        raise RuntimeError(found.flaw.sentence)
    longest = max(after - before for before, after in pairwise(pages))
    return found.head.seq, found.head.seq / (pages[-1] - pages[0]), longest * 1_000


async def _report(url: str, now: datetime) -> float:
    ledger, began = Ledger(url), time.perf_counter()
    try:
        since = now - timedelta(days=1)
        to_markdown(await report(ledger, targets=(), policies=(), since=since, now=now))
    finally:
        await ledger.close()
    return (time.perf_counter() - began) * 1_000


def measure(entries: int = ENTRIES) -> LedgerResult:
    """One run of each."""
    keys = ChainKeys(ChainKey(b"k" * 32))
    with made(entries, NO_KEYS) as (url, end):
        written, plain, wait = asyncio.run(_verify(url, NO_KEYS))
        report_ms = asyncio.run(_report(url, end))
    with made(entries, keys) as (url, _):
        keyed = asyncio.run(_verify(url, keys))[1]
    return LedgerResult(written, plain, keyed, wait, report_ms)


def main() -> None:
    """Measure and print."""
    found = measure()
    print(f"audit verify over {found.entries} entries and their rows:")
    print(f"  without a key       {found.plain_per_second:8.0f} a second (aim {AIM_PER_SECOND})")
    print(f"  with one            {found.keyed_per_second:8.0f} a second")
    print(f"  a page              {found.longest_wait_ms:8.1f} ms at most")
    print(f"  the last day's report {found.report_ms:6.1f} ms")


if __name__ == "__main__":
    main()
