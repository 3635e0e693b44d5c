"""What must be true whenever and however often a daemon was killed. Pure: a record in, flaws out.

Each check is one sentence of the promise; the flaws it returns are sentences for people.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from exporter.ledger.chain import EntryKind, verify
from exporter.model.operation import Operation, Outcome
from tests.chaos.record import Fault, Item, Record, Write

_ENDS = frozenset({EntryKind.CLOSED, EntryKind.INTERRUPTED})
_UNSURE = frozenset({Outcome.INTERRUPTED, Outcome.INDETERMINATE, Outcome.FAILED})
_DONE = frozenset({"deleted", "recovered", "resumed"})
_STOPPED_WRITING = frozenset({"acted", "verifying"})


@dataclass
class Audit:
    """The flaws that were found, and what was looked at."""

    flaws: list[str] = field(default_factory=list)
    announced: dict[int, str] = field(default_factory=dict)
    """By a write's position: the operation that had announced it."""
    counts: Counter[str] = field(default_factory=Counter)


def audit(record: Record) -> Audit:
    """Check everything; without flaws the server's state and the ledger agree."""
    result = Audit()
    result.flaws += _unannounced(record, result.announced)
    for check in (_broken_chain, _lost_rows, _forgotten_limits, _forgotten_ends):
        result.flaws += check(record)
    by_operation = _writes_of(record, result.announced)
    for check_writes in (_uncounted, _too_soon, _done_twice, _untold):
        result.flaws += check_writes(record, by_operation)
    result.flaws += _disagreements(record)
    result.counts = _counts(record, result)
    return result


def _unannounced(record: Record, announced: dict[int, str]) -> Iterator[str]:
    """No write without a row: an entry of its own, committed before, of an open operation."""
    ends = {e.operation_id: e.seq for e in record.entries if e.kind in _ENDS}
    free = [e for e in record.entries if e.kind == EntryKind.ACTING]
    for number, write in enumerate(record.writes):
        fits = [
            e
            for e in free
            if e.seq <= write.seen
            and f"{e.data.get('detail', '')} ".startswith(write.step)
            and e.at <= write.at
        ]
        if not fits:
            yield f"no committed entry announces {write}"
            continue
        entry = fits[-1]
        free.remove(entry)
        announced[number] = str(entry.operation_id)
        if ends.get(entry.operation_id, write.seen + 1) <= write.seen:
            yield f"{write} came after its operation {entry.operation_id} was closed"


def _broken_chain(record: Record) -> Iterator[str]:
    """The chain verifies from its first entry to its head."""
    flaw = verify(record.entries, record.head)
    if flaw is not None:
        yield flaw.sentence


def _lost_rows(record: Record) -> Iterator[str]:
    """Each operation that was ever reserved is still a row."""
    rows = {operation.id for operation in record.operations}
    for entry in record.entries:
        if entry.kind == EntryKind.RESERVED and entry.operation_id not in rows:
            yield f"operation {entry.operation_id} was reserved and is gone"


def _forgotten_limits(record: Record) -> Iterator[str]:
    """What counts stays within the limits, and an item is never had twice where once is all."""
    counted = [o for o in record.operations if o.id in record.counted]
    for remedy, most in record.limits.items():
        found = sum(o.remedy == remedy for o in counted)
        if found > most:
            yield f"{found} operations of {remedy}, {most} were allowed"
    for remedy in record.once:
        keys = Counter(key for o in counted if o.remedy == remedy for key in o.items)
        for key, times in keys.items():
            if times > 1:
                yield f"{remedy} had {key} {times} times, once was allowed"


def _forgotten_ends(record: Record) -> Iterator[str]:
    """What was killed while it might write is interrupted; while it only read, taken over."""
    by_id = {operation.id: operation for operation in record.operations}
    taken = {e.operation_id for e in record.entries if e.kind == EntryKind.TAKEN_OVER}
    for operation in record.operations:
        if operation.outcome is None:
            yield f"operation {operation.id} is still {operation.phase}"
    for kill in record.kills:
        if kill.operation is None:
            continue
        found = by_id.get(kill.operation)
        if found is None:
            yield f"operation {kill.operation}, killed while {kill.phase}, is gone"
        elif kill.phase in _STOPPED_WRITING:
            good = found.outcome in {Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.PARTIAL}
            if not good or found.id not in taken:
                yield f"{found.id}, killed while {kill.phase}, ended {found.outcome}"
        elif found.outcome is not Outcome.INTERRUPTED:
            yield f"{found.id}, killed while {kill.phase}, ended {found.outcome}"


def _writes_of(record: Record, announced: dict[int, str]) -> dict[str, list[Write]]:
    found: defaultdict[str, list[Write]] = defaultdict(list)
    for number, operation_id in announced.items():
        found[operation_id].append(record.writes[number])
    return found


def _uncounted(record: Record, writes: dict[str, list[Write]]) -> Iterator[str]:
    """Whatever wrote counts against its limits, however it ended."""
    for operation_id in writes:
        if operation_id not in record.counted:
            yield f"{operation_id} wrote and does not count"


def _too_soon(record: Record, writes: dict[str, list[Write]]) -> Iterator[str]:
    """A remedy is not used again before its cooldown after the last write is over."""
    wrote: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in record.operations:
        if operation.id in writes:
            wrote[operation.remedy].append(operation)
    for remedy, operations in wrote.items():
        for before, after in pairwise(operations):
            rest = after.created_at - max(w.at for w in writes[before.id])
            if rest < record.cooldown:
                yield f"{remedy} was used again {rest.total_seconds():.3f} s after its last write"


def _done_twice(record: Record, writes: dict[str, list[Write]]) -> Iterator[str]:
    """No second operation does again what was done and has not been broken since."""
    done: dict[Item, tuple[str, Write]] = {}
    for operation_id, write in sorted(
        ((id_, w) for id_, rows in writes.items() for w in rows), key=lambda pair: pair[1].at
    ):
        before = done.get(write.item)
        if before is not None and not _broken_since(record.faults, before[1], write):
            yield f"{write} does again what {before[1]} had done, of {before[0]}"
        if write.done:
            done[write.item] = (operation_id, write)


def _broken_since(faults: list[Fault], before: Write, after: Write) -> bool:
    return any(f.item == after.item and before.at <= f.at <= after.at for f in faults)


def _untold(record: Record, writes: dict[str, list[Write]]) -> Iterator[str]:
    """What the server did is in the ledger as done, or the row says that it does not know."""
    by_id = {operation.id: operation for operation in record.operations}
    for operation_id, rows in writes.items():
        operation = by_id.get(operation_id)
        if operation is None:
            yield f"{operation_id} wrote and is no row"
        elif operation.outcome is Outcome.REFUSED and any(w.done for w in rows):
            yield f"{operation_id} wrote and says that it was refused"
        elif operation.outcome not in _UNSURE and rows[-1].item[0] in {"deployment", "invocation"}:
            told = record.items.get(operation_id, {}).values()
            done = sum(1 for one in told if one is not None and one.outcome in _DONE)
            if done < len({w.item for w in rows if w.done and w.item[0] != "state"}):
                yield f"{operation_id} did more than its {done} items say"


def _disagreements(record: Record) -> Iterator[str]:
    """What was written and not broken since is so on the server, and nothing else happened to it.

    Every change of an item is a fault of ours or a write of the daemon's, so the last of them says
    how the server must be.
    """
    last: dict[Item, Fault | Write] = {}
    changes: list[Fault | Write] = [*record.faults, *(w for w in record.writes if w.done)]
    for change in sorted(changes, key=lambda c: c.at):
        last[change.item] = change
    for item, change in last.items():
        mended = isinstance(change, Write)
        if item[0] != "state" and _is_well(record, item) is not mended:
            how = "was mended last" if mended else "was never mended since it was broken"
            yield f"{item} {how}, and the server says otherwise"
    for operation in record.operations:
        for key, outcome in record.items.get(operation.id, {}).items():
            gone = outcome is not None and outcome.outcome == "deleted"
            if gone and key in record.state.deployments:
                yield f"{operation.id} says that {key} was deleted, and it is there"


def _is_well(record: Record, item: Item) -> bool:
    kind, name = item
    match kind:
        case "worker":
            return name in record.state.registered
        case "deployment":
            return name not in record.state.deployments
    return record.state.invocations.get(name, "gone") not in {"failed", "paused"}


def _counts(record: Record, result: Audit) -> Counter[str]:
    counts: Counter[str] = Counter()
    for kill in record.kills:
        counts[f"killed while {kill.phase}"] += 1
    for operation in record.operations:
        counts[f"ended {operation.outcome}"] += 1
        counts[operation.remedy] += 1
    counts["writes"] = len(record.writes)
    counts["writes announced"] = len(result.announced)
    counts["writes the server never saw"] = sum(w.forwarded is None for w in record.writes)
    counts["entries"] = len(record.entries)
    return counts
