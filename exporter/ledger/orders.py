"""Pauses, resets of breakers and identities of targets, each with its entry. In one transaction.

The tables are small, so whoever wants to know reads all that is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.rows import Row
from exporter.ledger.tables import identities, pauses, resets
from exporter.ledger.texts import clean, clean_text
from exporter.model.identity import Identity
from exporter.model.orders import BreakerName, Pause, PauseScope, Reset


@dataclass(frozen=True, slots=True)
class Orders:
    """Everything of this kind that is in force; whether a pause has run out, the clock says."""

    pauses: tuple[Pause, ...] = ()
    resets: Mapping[tuple[str, str, str], Reset] = field(default_factory=dict)
    """The newest, by target, remedy and policy."""
    identities: Mapping[str, Identity] = field(default_factory=dict)
    """The last known, by target."""


def in_force(connection: Connection) -> Orders:
    """Read them all."""
    newest = select(func.max(identities.c.seq)).group_by(identities.c.target)
    known = connection.execute(select(identities).where(identities.c.seq.in_(newest))).mappings()
    closed = connection.execute(select(resets).order_by(resets.c.seq)).mappings()
    return Orders(
        pauses=not_lifted(connection),
        resets={(r["target"], r["remedy"], r["policy"]): _reset_of(r) for r in closed},
        identities={
            row["target"]: Identity(row["cluster"], frozenset(row["deployments"])) for row in known
        },
    )


def not_lifted(connection: Connection) -> tuple[Pause, ...]:
    """Every pause that nobody lifted, oldest first."""
    query = select(pauses).where(pauses.c.lifted_at.is_(None)).order_by(pauses.c.seq)
    return tuple(_pause_of(row) for row in connection.execute(query).mappings())


def pause(
    journal: Journal,
    scope: PauseScope,
    name: str,
    *,
    owner: str,
    reason: str,
    expires_at: datetime | None,
    now: datetime,
    attempt: str | None = None,
) -> Pause:
    """Insert one. ``attempt`` is the row of the call that ordered it, if it has one."""
    row = {
        "scope": scope,
        "name": name,
        "owner": clean_text(owner),
        "reason": clean_text(reason),
        "created_at": now,
        "expires_at": expires_at,
    }
    row["seq"] = seq = journal.append(EntryKind.PAUSED, attempt, at=now, body=clean(row))
    journal.flush()
    journal.connection.execute(insert(pauses), row)
    return _pause_of({**row, "seq": seq})


def unpause(
    journal: Journal,
    ids: Iterable[int],
    *,
    actor: str,
    now: datetime,
    attempt: str | None = None,
) -> tuple[Pause, ...]:
    """Lift those of them that are not lifted yet, and return them."""
    wanted = frozenset(ids)
    found = tuple(p for p in not_lifted(journal.connection) if p.id in wanted)
    by = clean_text(actor)
    for one in found:
        body = {"pause": one.id, "scope": one.scope, "name": one.name, "lifted_by": by}
        journal.append(EntryKind.UNPAUSED, attempt, at=now, body=body)
        where = pauses.c.seq == one.id
        values = {"lifted_at": now, "lifted_by": by}
        journal.connection.execute(update(pauses).where(where).values(values))
    return found


def reset(
    journal: Journal,
    name: BreakerName,
    *,
    actor: str,
    reason: str,
    now: datetime,
    attempt: str | None = None,
) -> Reset:
    """Insert one."""
    row = {"target": name.target, "remedy": name.remedy, "policy": name.policy}
    row |= {"actor": clean_text(actor), "reason": clean_text(reason)}
    seq = journal.append(EntryKind.BREAKER_RESET, attempt, at=now, body=row)
    journal.flush()
    journal.connection.execute(insert(resets), {**row, "seq": seq, "at": now})
    return Reset(seq, now, name.target, name.remedy, name.policy)


def identity(
    journal: Journal,
    target: str,
    known: Identity,
    *,
    accepted_by: str | None,
    reason: str,
    now: datetime,
) -> None:
    """Insert what a target is known by from now on, unless it says what the last one did."""
    row = {
        "target": target,
        "cluster": known.cluster and clean_text(known.cluster),
        "deployments": sorted(known.deployments),
        "accepted_by": accepted_by and clean_text(accepted_by),
        "reason": clean_text(reason),
    }
    last = journal.connection.execute(
        select(identities.c.cluster, identities.c.deployments)
        .where(identities.c.target == target)
        .order_by(identities.c.seq.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and tuple(last) == (row["cluster"], row["deployments"]) and not accepted_by:
        return
    seq = journal.append(EntryKind.IDENTITY, None, at=now, body=row)
    journal.flush()
    journal.connection.execute(insert(identities), {**row, "seq": seq, "at": now})


def _pause_of(row: Row) -> Pause:
    return Pause(
        id=row["seq"],
        scope=row["scope"],
        name=row["name"],
        owner=row["owner"],
        reason=row["reason"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _reset_of(row: Row) -> Reset:
    return Reset(row["seq"], row["at"], row["target"], row["remedy"], row["policy"])
