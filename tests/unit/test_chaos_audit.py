"""The judge of `make chaos`: each kind of broken promise is found, and a kept one is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exporter.ledger.chain import Entry, EntryKind, Head, link
from exporter.model.decision import Mode
from exporter.model.operation import ItemOutcome, Operation, Outcome, Phase
from tests.chaos.audit import audit
from tests.chaos.record import Fault, Kill, Record, State, Write

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RUN = "inv_1"
CLEANUP, RECOVER = "cleanup-stale-deployments", "recover-stuck-workflow"


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _operation(id_: str, seconds: float, outcome: Outcome, remedy: str = RECOVER) -> Operation:
    return Operation(
        id=id_,
        target="prod",
        remedy=remedy,
        source="policy",
        actor="policy:recover",
        mode=Mode.ENFORCE,
        phase=Phase.CLOSED,
        created_at=_at(seconds),
        arguments={},
        items=("Flow/k0",) if remedy == RECOVER else (),
        outcome=outcome,
    )


def _chained(*rows: tuple[EntryKind, str, float, dict[str, str]]) -> tuple[Entry, ...]:
    head, entries = Head(), []
    for kind, operation, seconds, body in rows:
        entry = link(head, operation_id=operation, kind=kind, at=_at(seconds), body=body)
        entries.append(entry)
        head = Head(entry.seq, entry.hash)
    return tuple(entries)


def _purge(seconds: float, seen: int) -> Write:
    path = f"/invocations/{RUN}/purge"
    return Write(_at(seconds), "PATCH", path, None, seen, _at(seconds), 200)


def _delete(seconds: float, seen: int) -> Write:
    return Write(_at(seconds), "DELETE", "/deployments/dp_1?force=true", None, seen, None, 202)


def _kept() -> Record:
    """A key was purged by an operation that was killed; a deployment was deleted and verified."""
    entries = _chained(
        (EntryKind.RESERVED, "op_1", 1, {}),
        (EntryKind.ACTING, "op_1", 2, {"detail": f"purge {RUN}, the failed run of Flow/k0"}),
        (EntryKind.INTERRUPTED, "op_1", 8, {}),
        (EntryKind.RESERVED, "op_2", 9, {}),
        (EntryKind.ACTING, "op_2", 10, {"detail": "delete deployment dp_1 (http://w/v1)"}),
        (EntryKind.TAKEN_OVER, "op_2", 17, {}),
        (EntryKind.CLOSED, "op_2", 18, {}),
    )
    return Record(
        writes=[_purge(3, 2), _delete(11, 5)],
        faults=[Fault(_at(0), ("invocation", RUN)), Fault(_at(0), ("deployment", "dp_1"))],
        kills=[Kill(_at(4), "answer", "acting", "op_1"), Kill(_at(12), "x", "verifying", "op_2")],
        cooldown=timedelta(seconds=5),
        limits={CLEANUP: 1},
        once=frozenset({RECOVER}),
        operations=(
            _operation("op_1", 1, Outcome.INTERRUPTED),
            _operation("op_2", 9, Outcome.VERIFIED, CLEANUP),
        ),
        counted=frozenset({"op_1", "op_2"}),
        items={"op_2": {"dp_1": ItemOutcome("dp_1", "deleted")}},
        entries=entries,
        head=Head(entries[-1].seq, entries[-1].hash),
        state=State(),
    )


def test_a_kept_promise_has_no_flaws() -> None:
    """Killed twice, and everything is as it should be."""
    found = audit(_kept())
    assert found.flaws == []
    assert found.counts["writes announced"] == found.counts["writes"] == 2


def _late_entry(record: Record) -> None:
    record.writes[0].seen = 1


def _no_entry(record: Record) -> None:
    record.writes.append(replace(record.writes[0], path="/invocations/inv_2/purge", seen=7))


def _one_entry_for_two(record: Record) -> None:
    record.writes.insert(1, replace(record.writes[0], at=_at(3.5)))


def _after_the_end(record: Record) -> None:
    record.writes[0].seen, record.writes[0].at = 3, _at(8.5)


def _altered(record: Record) -> None:
    record.entries = (replace(record.entries[0], body='{"x":1}'), *record.entries[1:])


def _cut(record: Record) -> None:
    record.entries = record.entries[:-1]


def _lost_row(record: Record) -> None:
    record.operations = record.operations[1:]


def _over_limit(record: Record) -> None:
    record.limits = {CLEANUP: 0}


def _twice(record: Record) -> None:
    record.operations += (_operation("op_3", 30, Outcome.REFUSED),)
    record.counted |= {"op_3"}


def _not_counted(record: Record) -> None:
    record.counted = frozenset({"op_2"})


def _too_soon(record: Record) -> None:
    record.operations = (
        record.operations[0],
        replace(record.operations[1], remedy=RECOVER, items=()),
    )
    record.cooldown = timedelta(seconds=6.5)


def _done_again(record: Record) -> None:
    record.entries = _chained(
        (EntryKind.RESERVED, "op_1", 1, {}),
        (EntryKind.ACTING, "op_1", 2, {"detail": f"purge {RUN}, the failed run of Flow/k0"}),
        (EntryKind.INTERRUPTED, "op_1", 8, {}),
        (EntryKind.ACTING, "op_2", 10, {"detail": f"purge {RUN}, the failed run of Flow/k0"}),
    )
    record.head = Head(4, record.entries[-1].hash)
    record.writes = [_purge(3, 2), _purge(11, 4)]
    record.faults.pop()
    record.kills.pop()
    record.items = {}


def _resumed_blindly(record: Record) -> None:
    record.operations = (_operation("op_1", 1, Outcome.VERIFIED), record.operations[1])


def _never_taken_over(record: Record) -> None:
    record.kills[1] = replace(record.kills[1], operation="op_1")


def _still_open(record: Record) -> None:
    record.operations = (record.operations[0], replace(record.operations[1], outcome=None))


def _done_and_not_told(record: Record) -> None:
    record.items = {"op_2": {"dp_1": ItemOutcome("dp_1", "skipped")}}


def _told_and_not_done(record: Record) -> None:
    record.state = State(deployments=frozenset({"dp_1"}))


def _undone(record: Record) -> None:
    record.state = State(invocations={RUN: "failed"})


def _done_by_nobody(record: Record) -> None:
    record.faults.append(Fault(_at(20), ("worker", "http://w/")))
    record.state = State(registered=frozenset({"http://w/"}))


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (_late_entry, "no committed entry announces PATCH"),
        (_no_entry, "no committed entry announces PATCH /invocations/inv_2"),
        (_one_entry_for_two, "no committed entry announces PATCH"),
        (_after_the_end, "came after its operation op_1 was closed"),
        (_altered, "entry 1 was altered"),
        (_cut, "entries after 6 are missing"),
        (_lost_row, "operation op_1 was reserved and is gone"),
        (_over_limit, "1 operations of cleanup-stale-deployments, 0 were allowed"),
        (_twice, "had Flow/k0 2 times, once was allowed"),
        (_not_counted, "op_1 wrote and does not count"),
        (_too_soon, "was used again 6.000 s after its last write"),
        (_done_again, "does again what PATCH"),
        (_resumed_blindly, "op_1, killed while acting, ended verified"),
        (_never_taken_over, "op_1, killed while verifying, ended interrupted"),
        (_still_open, "operation op_2 is still closed"),
        (_done_and_not_told, "op_2 did more than its 0 items say"),
        (_told_and_not_done, "op_2 says that dp_1 was deleted, and it is there"),
        (_undone, f"('invocation', '{RUN}') was mended last, and the server says otherwise"),
        (_done_by_nobody, "was never mended since it was broken, and the server says otherwise"),
    ],
)
def test_a_broken_promise_is_found(breaks: Callable[[Record], None], sentence: str) -> None:
    """One thing is changed in a good record, and the flaw says which."""
    record = _kept()
    breaks(record)
    flaws = audit(record).flaws
    assert any(sentence in flaw for flaw in flaws), flaws
