"""The way into the ledger for everything that awaits: one thread for SQLite, a few for PostgreSQL.

A call that was begun is finished even if whoever awaits it is cancelled. Every failure of the
database becomes LedgerUnavailableError with a sentence for people; while it lasts, nobody acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial, wraps
from threading import Lock
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from exporter.ledger import schema
from exporter.ledger.engine import (
    LOCK_WAIT,
    POSTGRESQL_CONNECTIONS,
    connect,
    ledger_url,
    make_folder,
    place,
)
from exporter.ledger.period import Period
from exporter.ledger.pruning import Plan
from exporter.ledger.sealing import NO_KEYS, ChainKeys
from exporter.ledger.standing import Delta, Standing
from exporter.ledger.store import Store
from exporter.ledger.trouble import is_trouble, unavailable
from exporter.model.errors import LedgerUnavailableError, MedicError
from exporter.policy.memory import Forever

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _call(
    method: Callable[Concatenate[Store, _P], _T], *, writes: bool
) -> Callable[Concatenate[Ledger, _P], Coroutine[Any, Any, _T]]:
    """The same method, awaited, with its failures translated."""

    @wraps(method)
    async def called(self: Ledger, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(lambda store: method(store, *args, **kwargs), writes=writes)

    return called


class Ledger:
    """The ledger at one URL. Methods are Store's, awaited; their arguments are described there."""

    reserve = _call(Store.reserve, writes=True)
    rehearse = _call(Store.rehearse, writes=True)
    propose = _call(Store.propose, writes=True)
    end_proposal = _call(Store.end_proposal, writes=True)
    expire = _call(Store.expire, writes=True)
    approve = _call(Store.approve, writes=True)
    reject = _call(Store.reject, writes=True)
    refuse = _call(Store.refuse, writes=True)
    record_answered = _call(Store.record_answered, writes=True)
    advance = _call(Store.advance, writes=True)
    renew = _call(Store.renew, writes=True)
    note_item = _call(Store.note_item, writes=True)
    mark_acted = _call(Store.mark_acted, writes=True)
    finish = _call(Store.finish, writes=True)
    note_relapse = _call(Store.note_relapse, writes=True)
    sweep = _call(Store.sweep, writes=True)
    take_over = _call(Store.take_over, writes=True)
    note_changes = _call(Store.note_changes, writes=False)
    note_unwatched = _call(Store.note_unwatched, writes=False)
    acquire = _call(Store.acquire, writes=True)
    release = _call(Store.release, writes=True)
    pause = _call(Store.pause, writes=True)
    unpause = _call(Store.unpause, writes=True)
    reset_breaker = _call(Store.reset_breaker, writes=True)
    note_identity = _call(Store.note_identity, writes=True)
    prune = _call(Store.prune, writes=True)
    seal = _call(Store.seal, writes=True)
    begin_report = _call(Store.begin_report, writes=True)
    end_report = _call(Store.end_report, writes=True)
    add_key = _call(Store.add_key, writes=True)
    revoke_key = _call(Store.revoke_key, writes=True)
    api_keys = _call(Store.api_keys, writes=False)
    pauses = _call(Store.pauses, writes=False)
    head = _call(Store.head, writes=False)
    key_id = _call(Store.key_id, writes=False)
    operation = _call(Store.operation, writes=False)
    operations = _call(Store.operations, writes=False)
    items = _call(Store.items, writes=False)
    entries = _call(Store.entries, writes=False)
    chain = _call(Store.chain, writes=False)
    checkpoint = _call(Store.checkpoint, writes=False)
    compare = _call(Store.compare, writes=False)
    decisions = _call(Store.decisions, writes=False)
    keep_history = _call(Store.keep_history, writes=False)
    prune_history = _call(Store.prune_history, writes=False)
    history = _call(Store.history, writes=False)
    history_span = _call(Store.history_span, writes=False)
    latest_decisions = _call(Store.latest_decisions, writes=False)

    def __init__(
        self,
        url: str,
        *,
        on_failure: Callable[[], None] = lambda: None,
        lock_wait: timedelta = LOCK_WAIT,
        keys: ChainKeys = NO_KEYS,
    ) -> None:
        """Open nothing yet. ConfigurationError when the URL cannot be one of a ledger's."""
        self.keys = keys
        self._url = ledger_url(url)
        self._place = place(self._url)
        self._engine = connect(self._url, lock_wait=lock_wait, keys=keys)
        self._on_failure = on_failure
        threads = 1 if self._engine.dialect.name == "sqlite" else POSTGRESQL_CONNECTIONS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ledger")
        self._preparing = Lock()
        self._store: Store | None = None
        self._available = False
        self._refreshing = asyncio.Lock()
        self.standing = Standing()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        on_failure: Callable[[], None] = lambda: None,
        lock_wait: timedelta = LOCK_WAIT,
        required: bool = True,
        keys: ChainKeys = NO_KEYS,
    ) -> Self:
        """Create the folder, bring the tables up to date, and load the standing.

        LedgerUnavailableError when it cannot be used now; with ``required`` false it is returned
        all the same, not ``available``, and each call tries again.
        """
        ledger = cls(url, on_failure=on_failure, lock_wait=lock_wait, keys=keys)
        try:
            await ledger.refresh()
        except LedgerUnavailableError:
            if required:
                await ledger.close()
                raise
        return ledger

    @property
    def available(self) -> bool:
        """False from any failure until something was written again."""
        return self._available

    async def refresh(self) -> None:
        """Bring the standing up to date; cheap when nothing happened.

        After a failure it first writes without changing anything: a ledger that can only be read
        is not available.
        """
        async with self._refreshing:
            if not self._available:
                await self._run(Store.probe, writes=True)
            self.standing.apply(await self._run(self._fetch, writes=False))

    async def period(self, since: datetime) -> Period:
        """What happened since then, for a report.

        It reads for a while, so it goes past the thread that rounds need: reading waits for nobody.
        """
        return await asyncio.to_thread(self._in_thread, lambda store: store.period(since))

    async def plan_pruning(self, *, keep: timedelta, rests: Forever, now: datetime) -> Plan:
        """What may go, for ``prune``. It reads for a while, past the thread as ``period`` does."""
        return await asyncio.to_thread(
            self._in_thread, lambda store: store.plan_pruning(keep=keep, rests=rests, now=now)
        )

    async def close(self) -> None:
        """Finish the calls under way, and let go of the database."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        self._engine.dispose()

    async def _run(self, work: Callable[[Store], _T], *, writes: bool) -> _T:
        try:
            future = asyncio.wrap_future(self._threads.submit(self._in_thread, work))
        except RuntimeError as error:
            raise LedgerUnavailableError(f"the ledger at {self._place} is closed") from error
        future.add_done_callback(partial(self._judge, writes=writes))
        return await asyncio.shield(future)

    def _judge(self, done: asyncio.Future[Any], *, writes: bool) -> None:
        """Learn from a call how the ledger is, even when nobody waits for it any more."""
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, LedgerUnavailableError):
            self._available = False
            self._on_failure()
        elif writes and (error is None or isinstance(error, MedicError)):
            self._available = True

    def _in_thread(self, work: Callable[[Store], _T]) -> _T:
        try:
            return work(self._prepared())
        except Exception as error:
            if not is_trouble(error):
                raise
            # A file that was opened read-only stays so, whatever its rights are by now.
            self._engine.dispose()
            raise unavailable(error, self._place) from error

    def _prepared(self) -> Store:
        with self._preparing:
            if self._store is None:
                make_folder(self._url)
                schema.prepare(self._engine)
                self._store = Store(self._engine)
            return self._store

    def _fetch(self, _store: Store) -> Delta | None:
        return self.standing.fetch(self._engine)
