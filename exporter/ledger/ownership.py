"""Who acts for a shard of the targets: one row, by the database's clock. In one transaction.

Renewing in time leaves no entry; the chain tells when a shard changes hands, and when nobody had
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from exporter.ledger.chain import EntryKind
from exporter.ledger.engine import database_now
from exporter.ledger.journal import Journal
from exporter.ledger.rows import Row
from exporter.ledger.tables import leases
from exporter.ledger.texts import clean
from exporter.model.errors import StoppedError
from exporter.model.hold import HoldReason
from exporter.model.operation import Fence


@dataclass(frozen=True, slots=True)
class ShardLease:
    """Who holds a shard, since how many changes of hands, and until when."""

    shard: str
    holder: str
    epoch: int
    until: datetime


def acquire(journal: Journal, shard: str, *, holder: str, length: timedelta) -> ShardLease:
    """Take or keep the shard; returns whoever's lease it is then."""
    now = database_now(journal.connection)
    row = _row(journal, shard)
    if row is not None and row["holder"] != holder and row["until"] > now:
        return ShardLease(**row)
    mine = row is not None and row["holder"] == holder
    epoch = 1 if row is None else row["epoch"] + (not mine)
    lease = ShardLease(shard, holder, epoch, now + length)
    values = {"holder": holder, "epoch": epoch, "until": lease.until}
    if row is None:
        journal.connection.execute(insert(leases), {"shard": shard, **values})
    else:
        journal.connection.execute(update(leases).where(leases.c.shard == shard).values(values))
    idle_since = row["until"] if row is not None and row["until"] < now else None
    if not mine or idle_since is not None:
        body = {"shard": shard, "holder": holder, "epoch": epoch}
        body["before"] = None if row is None else row["holder"]
        body["idle_since"] = clean(idle_since)
        journal.append(EntryKind.OWNER, None, at=now, body=body)
    return lease


def release(journal: Journal, shard: str, *, holder: str) -> None:
    """End the holder's lease now, so that another one need not wait."""
    mine = (leases.c.shard == shard) & (leases.c.holder == holder)
    now = database_now(journal.connection)
    journal.connection.execute(update(leases).where(mine).values(until=now))


def check(journal: Journal, fence: Fence) -> None:
    """StoppedError unless the shard is still in the same hands, and the lease runs."""
    row = _row(journal, fence.shard)
    same = row is not None and (row["holder"], row["epoch"]) == (fence.holder, fence.epoch)
    if row is None or not same:
        holder = "nobody" if row is None else row["holder"]
        raise StoppedError(str(HoldReason.NOT_OWNER), f"{holder} acts for these targets now")
    if row["until"] <= database_now(journal.connection):
        raise StoppedError(str(HoldReason.NOT_OWNER), "the lease on these targets has ended")


def _row(journal: Journal, shard: str) -> Row | None:
    query = select(leases).where(leases.c.shard == shard)
    return journal.connection.execute(query).mappings().one_or_none()
