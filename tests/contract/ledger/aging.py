"""A ledger that grows old within a test: the database's clock is told what to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, delete, update

from exporter.ledger import journal, ownership, period, pruning
from exporter.ledger.chain import GENESIS
from exporter.ledger.store import Store
from exporter.ledger.tables import head, metadata
from exporter.model.operation import Fence
from exporter.policy.memory import Forever
from tests.contract.ledger.making import NOW

KEEP = timedelta(days=30)
SHARD = "1/1"
NOTHING = Forever()


class Time:
    """What the database's clock shows."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self, _connection: Connection) -> datetime:
        return self.at

    def pass_(self, span: timedelta) -> datetime:
        self.at += span
        return self.at


@contextmanager
def told_time() -> Iterator[Time]:
    """Within it, every part of the ledger that asks the database for the time is told it."""
    time = Time()
    with pytest.MonkeyPatch.context() as patch:
        for module in (journal, ownership, period, pruning):
            patch.setattr(module, "database_now", time.now)
        yield time


def hold(store: Store, holder: str = "me") -> Fence:
    """Make somebody the owner for a long time."""
    lease = store.acquire(SHARD, holder=holder, length=timedelta(days=36_500))
    return Fence(SHARD, holder, lease.epoch)


def prune(
    store: Store,
    engine: Engine,
    now: datetime,
    *,
    keep: timedelta = KEEP,
    rests: Forever = NOTHING,
    at_once: int = 3,
    most: int = 10_000,
) -> Iterator[pruning.Pruned]:
    """Remove all that may go, a step at a time."""
    more = True
    while more:
        plan = pruning.plan(engine, keep=keep, rests=rests, now=now, at_once=at_once, most=most)
        after, more = 0, plan.more
        for step in plan.steps:
            done = store.prune(plan, step, after=after, fence=hold(store), now=now)
            assert done is not None
            after = done.seq
            yield done


def empty(engine: Engine) -> None:
    """Take everything out of a ledger."""
    with engine.begin() as connection:
        names = ("operation_items", "decisions", "pauses", "resets", "identities", "api_keys")
        for name in (*names, "reports", "leases", "entries", "operations"):
            connection.execute(delete(metadata.tables[name]))
        connection.execute(update(head).values(seq=0, hash=GENESIS, key=None))
