"""Several threads and processes with one ledger, some of which die."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from exporter.model.errors import InFlightError, LimitReachedError, MedicError
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, Operation, Outcome, Request, Window
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

THREADS = 20
PROCESSES = 5
HOUR = timedelta(hours=1)
Process = subprocess.Popen[str]


@pytest.fixture
def start(url: str) -> Iterator[Callable[[str], Process]]:
    """Starts a process with the same ledger, and kills it when the test ends."""
    root = Path(__file__).parents[3]
    with ExitStack() as stack:

        def start(what: str) -> Process:
            command = [sys.executable, "-m", "tests.contract.ledger.process", what, url]
            pipe = subprocess.PIPE
            process = stack.enter_context(
                subprocess.Popen(command, cwd=root, text=True, stdin=pipe, stdout=pipe)
            )
            stack.callback(process.kill)
            return process

        yield start


def said(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def attempt(store: Store, request: Request, barrier: Barrier) -> Operation | MedicError:
    barrier.wait()
    try:
        return store.reserve(
            request, plan_for(request), owner=request.target, lease=LEASE, now=at(0)
        )
    except MedicError as error:
        return error


def race(engine: Engine, requests: list[Request]) -> list[Operation | MedicError]:
    """All at once, each thread with a store of its own, as another process would have."""
    barrier = Barrier(len(requests))
    with ThreadPoolExecutor(len(requests)) as threads:
        futures = [threads.submit(attempt, Store(engine), r, barrier) for r in requests]
        return [future.result() for future in futures]


def test_of_racing_threads_one_gets_the_target(engine: Engine, store: Store) -> None:
    """Policies and people race for one target: one wins, the others learn who."""
    requests = [by_policy() if n % 2 else by_person() for n in range(THREADS)]
    results = race(engine, requests)
    (winner,) = [r for r in results if isinstance(r, Operation)]
    losers = [r for r in results if isinstance(r, InFlightError)]
    assert len(losers) == THREADS - 1
    assert {loser.operation_id for loser in losers} == {winner.id}
    assert [o.id for o in store.operations()] == [winner.id]
    assert verify(store.chain(), store.head()) is None


@pytest.mark.parametrize("scope", ["policy", "global"])
def test_a_limit_is_never_exceeded_by_racing(engine: Engine, store: Store, scope: str) -> None:
    """Twenty targets at once under a limit of three: three operations, not one more."""
    budget = Budget(timedelta(0), (Window(scope, 3, HOUR),))  # type: ignore[arg-type]
    results = race(engine, [by_policy(f"t{n}", budget=budget) for n in range(THREADS)])
    refused = [r for r in results if isinstance(r, LimitReachedError)]
    assert {r.reason for r in refused} == {f"limit_{scope}"}
    assert len(refused) == THREADS - 3
    assert len(store.operations()) == 3


def test_of_racing_processes_one_gets_the_target(
    start: Callable[[str], Process], engine: Engine
) -> None:
    """The lock holds between processes: the daemon, its replicas and the command line."""
    processes = [start("race") for _ in range(PROCESSES)]
    assert [said(p) for p in processes] == ["ready"] * PROCESSES
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(said(p) for p in processes)
    (operation,) = Store(engine).operations()
    assert answers == ["InFlightError"] * (PROCESSES - 1) + [operation.id]


def test_a_killed_process_leaves_a_row_that_counts(
    start: Callable[[str], Process], engine: Engine, store: Store
) -> None:
    """kill -9 while acting: the target stays locked for the lease, then interrupted, counted."""
    process = start("act")
    operation_id = said(process)
    process.kill()
    process.wait()
    budget = Budget(timedelta(0), (Window("item", 1, None),))
    request = by_policy(items=("a",), budget=budget)
    with pytest.raises(InFlightError):
        store.reserve(request, plan_for(request), owner="heir", lease=LEASE, now=at(60))
    assert store.sweep(at(60)) == ()

    (swept,) = store.sweep(at(62))
    assert (swept.id, swept.outcome) == (operation_id, Outcome.INTERRUPTED)
    with pytest.raises(LimitReachedError) as caught:
        store.reserve(request, plan_for(request), owner="heir", lease=LEASE, now=at(62))
    assert caught.value.reason == HoldReason.LIMIT_ITEM
    assert verify(Store(engine).chain(), store.head()) is None


def test_killing_a_busy_writer_never_leaves_half_a_change(
    start: Callable[[str], Process], store: Store
) -> None:
    """Whenever a writer is killed: the chain holds, and rows and entries tell the same."""
    for milliseconds in (30, 80, 170, 260):
        process = start("busy")
        assert said(process) == "busy"
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        entries = store.chain(limit=1_000_000)
        assert verify(entries, store.head()) is None
        opened = [e.operation_id for e in entries if e.kind == "reserved"]
        closed = [e.operation_id for e in entries if e.kind in {"closed", "interrupted"}]
        assert sorted(o.id for o in store.operations(limit=1_000_000)) == sorted(map(str, opened))
        assert len(opened) - len(closed) == len(store.operations(open_only=True)) <= 1
        decided = sum(e.kind == "decision" for e in entries)
        assert len(store.decisions(limit=1_000_000)) == decided
        store.sweep(at(10**9))


def test_processes_that_start_together_create_the_tables_once(
    start: Callable[[str], Process], url: str
) -> None:
    """Daemon and command line may meet an empty database at the same moment."""
    del url
    processes = [start("create") for _ in range(PROCESSES)]
    assert [said(p) for p in processes] == ["created"] * PROCESSES
    assert [p.wait() for p in processes] == [0] * PROCESSES


def test_preparing_twice_changes_nothing(engine: Engine, store: Store) -> None:
    """A ledger that is up to date is only read when a process starts."""
    request = by_policy()
    store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    before = store.head()
    prepare(engine)
    assert store.head() == before
