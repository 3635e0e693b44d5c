"""The daemon: engine, schedule, web server and signals, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import Context
from datetime import datetime
from typing import Any

import structlog

from exporter import __version__
from exporter.app import Built, Engine, open_engine
from exporter.left_behind import look_after
from exporter.metrics.exposition import Exposition, new_registry
from exporter.metrics.instruments import Instruments
from exporter.model.component import Component
from exporter.model.decision import Decision, Subject
from exporter.model.errors import ConfigurationError, LedgerUnavailableError, MedicError
from exporter.model.message import Message
from exporter.model.operation import Operation, Outcome, Request
from exporter.model.target import Target
from exporter.notify.about import about_operation, about_proposal
from exporter.policy.policy import Policy
from exporter.round import Rounds, Watched
from exporter.scheduler import Schedule
from exporter.settings.load import Configuration
from exporter.surroundings import Surroundings
from exporter.web.app import build_web
from exporter.web.desk import Desk
from exporter.web.front import Front
from exporter.web.gate import Access
from exporter.web.keyring import REFRESH_SECONDS, Keyring
from exporter.web.server import WebServer, listen
from exporter.web.status import (
    ReloadResult,
    StandingDecision,
    TargetStatus,
    WebStatus,
    follow,
)

_SWEEP_SECONDS = 1.0
_LOOK_FOR_CHANGES_SECONDS = 10.0
_LEFT_BEHIND_SECONDS = 10.0
"""At most, between two looks for operations whose owner died; oftener where leases are short."""
_COLLECT_AFTER = 5_000
"""New objects; Python's default is 700."""
_KEEPINGS = 4
"""How often the lease on the targets is renewed within its length."""
_PATIENCE_SECONDS = 0.5
_log = structlog.get_logger(__name__)


def settle_memory() -> None:
    """Spare the garbage collector what was imported, and have it look less often.

    A round makes thousands of small objects that live until the next one; with Python's defaults a
    third of deciding was spent on looking through all modules for garbage (``make bench``).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)


async def run_daemon(configure: Callable[[], Configuration]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    ConfigurationError when what ``configure`` loads cannot be used, ListenError when the address
    is taken: nothing was started then.
    """
    daemon = Daemon(configure)
    daemon.listen_to_signals()
    settle_memory()
    configuration = configure()
    sock = listen(configuration.settings.web_listen_address)
    async with AsyncExitStack() as stack:
        stack.callback(sock.close)
        engine = await stack.enter_async_context(
            open_engine(
                configuration,
                ledger_required=False,
                wake=daemon.wake,
                on_closed=daemon.operation_closed,
                on_proposed=daemon.operation_proposed,
                on_ledger_failure=daemon.instruments.ledger_failed,
                on_receipt=daemon.instruments.told,
                on_alerts=daemon.instruments.alertmanager_heard,
            )
        )
        daemon.take(engine)
        stack.push_async_callback(daemon.stop)
        front = Front(configuration.web)
        daemon.show_behind(front)
        web = WebServer(
            build_web(
                exposition=daemon.exposition,
                status=daemon.status,
                reload=daemon.reload,
                desk=daemon.desk(),
                access=daemon.access(front),
                headers=lambda: front.headers,
            ),
            sock,
            tls=front.tls,
        )
        await web.start()
        stack.push_async_callback(web.stop)
        _log.info("web.listening", url=web.url)
        await daemon.start()
        stopped = asyncio.ensure_future(daemon.stopped.wait())
        stack.callback(stopped.cancel)
        await asyncio.wait(
            {stopped, asyncio.ensure_future(web.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        await daemon.drain()
    return 0


class Daemon:
    """Holds what runs: the schedule over the engine, its metrics, and the periodic chores."""

    def __init__(self, configure: Callable[[], Configuration]) -> None:
        self._configure = configure
        self.stopped = asyncio.Event()
        registry = new_registry()
        self.exposition = Exposition(registry=registry)
        self.instruments = Instruments(
            registry=registry, exposition=self.exposition, version=__version__
        )
        self._schedule = Schedule(
            self._run_round,
            on_lag=self.instruments.round_lag,
            on_skipped=self.instruments.round_skipped,
        )
        self._engine: Engine | None = None
        self._rounds: Rounds | None = None
        self._decisions: dict[str, dict[Subject, StandingDecision]] = {}
        self._ready = False
        self._chores: list[asyncio.Task[None]] = []
        self._signalled: set[asyncio.Task[ReloadResult]] = set()
        self._reloading = asyncio.Lock()
        self._fingerprint = ""
        self._problems: tuple[str, ...] = ()
        """Of the last reload, if it failed."""
        self._kept = asyncio.Event()
        self._front: Front | None = None
        self._keyring: Keyring | None = None
        self._targets: tuple[Target, ...] = ()

    @property
    def engine(self) -> Engine:
        """The engine, once taken."""
        if self._engine is None:
            msg = "the daemon has no engine yet"
            raise RuntimeError(msg)
        return self._engine

    def take(self, engine: Engine) -> None:
        """Take the engine over; nothing runs yet."""
        self._engine = engine
        self._rounds = Rounds(
            fleet=engine.fleet,
            ledger=engine.ledger,
            remediator=engine.remediator,
            surroundings=Surroundings(
                ledger=engine.ledger,
                remediator=engine.remediator,
                ownership=engine.ownership,
                alarms=lambda: engine.alerts.alarms,
            ),
            instruments=self.instruments,
            now=engine.now,
            wake=self.wake,
            on_decided=self._decided,
        )
        self._fingerprint = engine.configuration.fingerprint()
        self._show_configuration(engine.configuration.targets)
        self._tell_notes()
        self.instruments.config_reloaded(ok=True, at=engine.now())

    def show_behind(self, front: Front) -> None:
        """Tell the front of the server what a reload changes of it."""
        self._front = front

    def desk(self) -> Desk:
        """What takes the requests of key holders."""
        return Desk(
            people=lambda: self.engine.people,
            targets=lambda: self.engine.backends,
            now=self.engine.now,
        )

    def access(self, front: Front) -> Access:
        """Who may come in."""
        self._keyring = Keyring(self.engine.ledger.api_keys)
        return Access(
            keyring=self._keyring,
            reading_needs_key=lambda: self.engine.configuration.settings.reading_needs_key,
            passwords=front.passwords,
            on_failure=self.instruments.auth_failed,
        )

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads: from the very start, so that none is lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    async def start(self) -> None:
        """Start the schedule and the chores, once it is known who acts, if that is quick."""
        keeping = asyncio.ensure_future(self._every(self._keeping_seconds, self._keep))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._kept.wait(), _PATIENCE_SECONDS)
        self._schedule.start()
        self._schedule.set_targets(self.engine.configuration.targets)
        self._chores = [
            keeping,
            asyncio.ensure_future(self._every(_SWEEP_SECONDS, self._sweep)),
            asyncio.ensure_future(self._every(REFRESH_SECONDS, self._refresh_keys)),
            asyncio.ensure_future(self._every(_SWEEP_SECONDS, self.engine.alerts.look)),
            asyncio.ensure_future(
                self._every(min(_LEFT_BEHIND_SECONDS, self._keeping_seconds), self._left_behind)
            ),
            asyncio.ensure_future(
                self._every(_LOOK_FOR_CHANGES_SECONDS, self._reload_when_changed)
            ),
        ]

    async def drain(self) -> None:
        """Start nothing more, and let running operations finish for a bounded time."""
        if self._rounds is not None:
            self._rounds.accepting = False
        self.engine.people.accepting = False
        seconds = self.engine.configuration.settings.drain_timeout.total_seconds()
        _log.info("daemon.stopping", running=sorted(self.engine.remediator.busy))
        self.engine.notifier.hurry()
        await self.engine.remediator.drain(seconds)

    async def stop(self) -> None:
        """Stop the chores and the schedule."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._schedule.stop()
        await self.engine.ownership.release()

    def wake(self, target: str, components: frozenset[Component]) -> None:
        """Read these components of a target as soon as possible."""
        self._schedule.wake(target, components)

    def operation_closed(self, operation: Operation, request: Request | None) -> None:
        """Count an operation that ended, and how long the heal took; tell whom its policy names."""
        now = self.engine.now()
        self.instruments.operation_finished(operation, now=now)
        healed = operation.outcome in {Outcome.VERIFIED, Outcome.PARTIAL} and not operation.error
        if healed and operation.policy and request and request.true_since and operation.finished_at:
            seconds = (operation.finished_at - request.true_since).total_seconds()
            self.instruments.heal_seconds(operation.policy.name, seconds)
        self._tell(operation, about_operation(operation))

    def operation_proposed(self, operation: Operation) -> None:
        """Tell whom its policy names that a plan waits for a person."""
        self._tell(operation, about_proposal(operation))

    def _tell(self, operation: Operation, message: Message | None) -> None:
        name = operation.policy.name if operation.policy else None
        policy = next((p for p in self.engine.policies if p.name == name), None)
        if policy is not None and message is not None:
            self.engine.notifier.send(policy.notify, message)

    def status(self) -> WebStatus:
        """What the web side shows now."""
        now = self.engine.now()
        targets = self.engine.configuration.targets
        waiting = tuple(t.name for t in targets if not self._reported(t.name))
        self._ready = self._ready or not waiting
        return WebStatus(
            now=now,
            ready=self._ready,
            targets=tuple(TargetStatus(t, self.engine.fleet.report(t.name)) for t in targets),
            decisions=tuple(
                standing for t in targets for standing in self._decisions.get(t.name, {}).values()
            ),
            waiting_for=() if self._ready else waiting,
        )

    async def reload(self) -> ReloadResult:
        """Build the whole configuration again and swap it in; an invalid one changes nothing.

        In a context of its own: what it schedules must not log under the request that asked.
        """
        return await asyncio.create_task(self._reload(), context=Context())

    async def _reload(self) -> ReloadResult:
        async with self._reloading:
            now = self.engine.now()
            try:
                built, self._fingerprint = await asyncio.to_thread(self._build)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old one stays in force
                self._fingerprint = ""  # so that it is tried again until it can be loaded
                problems = _problems(error)
                self.instruments.config_reloaded(ok=False, at=now)
                if problems != self._problems:
                    _log.error("config.reload_failed", problems=problems)
                self._problems = problems
                return ReloadResult(problems)
            self._problems = ()
            self._tell_what_needs_a_restart(built.configuration)
            self._swap(built)
            self.instruments.config_reloaded(ok=True, at=now)
            self._tell_notes()
            _log.info("config.reloaded", targets=len(built.backends), policies=len(built.policies))
            return ReloadResult()

    def _build(self) -> tuple[Built, str]:
        configuration = self._configure()
        fingerprint = configuration.fingerprint()  # before: later changes are seen at the next look
        return self.engine.rebuild(configuration), fingerprint

    def _swap(self, built: Built) -> None:
        """Put it in force. What was known of a target that is another one now is forgotten."""
        before = self.engine.backends
        self.engine.swap(built)
        after = built.configuration.targets
        other = {name for name, b in before.items() if built.backends.get(name) is not b}
        for name in other:
            self._decisions.pop(name, None)
            if self._rounds is not None:
                self._rounds.forget(name)
        same = [target for target in after if target.name not in other]
        self._show_configuration(same)  # an other target loses its series first
        self._show_configuration(after)
        if self._front is not None and not self._front.use(built.configuration.web):
            _log.warning("config.needs_restart", key="web_config_file")
        self._schedule.set_targets(same)
        self._schedule.set_targets(after)

    def _tell_notes(self) -> None:
        for note in self.engine.configuration.notes(self.engine.now()):
            _log.warning("config.note", note=note)

    def _show_configuration(self, targets: Sequence[Target]) -> None:
        most = self.engine.configuration.settings.max_mode
        modes = {p.name: p.mode_under(most) for p in self.engine.policies}
        self._targets = self.engine.configuration.targets
        self.instruments.configure(targets, modes, now=self.engine.now())
        self.instruments.notifiers(self.engine.configuration.settings.notifiers)

    def _tell_what_needs_a_restart(self, new: Configuration) -> None:
        old = self.engine.configuration
        if old.storage_url != new.storage_url:
            _log.warning("config.needs_restart", key="storage")
        if old.settings.web_listen_address != new.settings.web_listen_address:
            _log.warning("config.needs_restart", key="web_listen_address")
        for key in ("lease", "log_level"):
            if getattr(old.settings, key) != getattr(new.settings, key):
                _log.warning("config.needs_restart", key=key)

    def _reload_soon(self) -> None:
        if self._engine is None:
            return  # it is being loaded right now
        task = asyncio.ensure_future(self.reload())
        self._signalled.add(task)
        task.add_done_callback(self._signalled.discard)

    async def _reload_when_changed(self) -> None:
        seen = await asyncio.to_thread(self.engine.configuration.fingerprint)
        if seen != self._fingerprint:
            await self.reload()

    async def _run_round(
        self, target: str, components: frozenset[Component], *, woken: bool
    ) -> None:
        backend = self.engine.backends.get(target)
        if backend is None or self._rounds is None:
            return
        due = components if woken else backend.due_now(components)
        most = self.engine.configuration.settings.max_mode
        revisions = {p.ref for p in self.engine.policies}

        def in_force(policy: Policy | None) -> bool:
            same = self.engine.backends.get(target) is backend
            if policy is None:
                return same
            now = {p.ref for p in self.engine.policies}
            lowered = self.engine.configuration.settings.max_mode.rank < most.rank
            return same and policy.ref in revisions & now and not lowered

        watched = Watched(backend, self.engine.policies, most, self._targets, in_force)
        await self._rounds.run(watched, due)
        self.instruments.operations_in_flight(len(self.engine.ledger.standing.open))

    def _decided(self, name: str, decisions: tuple[Decision, ...], at: datetime) -> None:
        self._decisions[name] = follow(self._decisions.get(name, {}), decisions, at)

    def _reported(self, name: str) -> bool:
        backend = self.engine.backends[name]
        readings = self.engine.fleet.report(name).readings
        return all(component in readings for component in backend.target.intervals)

    async def _sweep(self) -> None:
        now = self.engine.now()
        self.instruments.sweep(now)
        pauses = self.engine.ledger.standing.orders.pauses
        self.instruments.pauses(pause for pause in pauses if pause.in_force(now))
        waiting = [p for p in self.engine.ledger.standing.proposals if p.approved_by is None]
        self.instruments.approvals_pending(len(waiting))

    @property
    def _keeping_seconds(self) -> float:
        return self.engine.configuration.settings.lease.total_seconds() / _KEEPINGS

    async def _keep(self) -> None:
        try:
            await self.engine.ownership.keep()
        finally:
            self._kept.set()

    async def _refresh_keys(self) -> None:
        if self._keyring is not None:
            with suppress(LedgerUnavailableError):  # rounds tell; what is known stays in force
                await self._keyring.refresh()

    async def _left_behind(self) -> None:
        if not self.engine.ownership.owned:
            return
        await look_after(self.engine, self.operation_closed)

    async def _every(self, seconds: float, chore: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await chore()
            except MedicError as error:
                _log.warning("chore.failed", chore=chore.__name__, error=str(error))
            except Exception:  # noqa: BLE001 - a chore that crashed once is tried again
                _log.exception("chore.crashed", chore=chore.__name__)
            await asyncio.sleep(seconds)


def _problems(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigurationError):
        return tuple(error.problems)
    return (f"the configuration cannot be loaded: {type(error).__name__}: {error}",)
