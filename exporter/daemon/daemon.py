"""What runs in a daemon: the schedule over the engine, its metrics, and the periodic chores."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from exporter import __version__
from exporter.app.build import Built
from exporter.app.engine import Engine
from exporter.daemon.bulletin import Bulletin
from exporter.daemon.checking import CHECK_SECONDS, Checking
from exporter.daemon.chores import Chores
from exporter.daemon.reloads import Reloads
from exporter.daemon.reporting import Reporting
from exporter.daemon.retention import RETENTION_SECONDS, Retention
from exporter.daemon.showing import Showing, plans_of
from exporter.daemon.supervisor import Supervisor
from exporter.explain import Explanation, explain
from exporter.history.keeper import LOOK_SECONDS, PRUNE_SECONDS, Keeper
from exporter.left_behind import look_after
from exporter.metrics.exposition import Exposition, new_registry
from exporter.metrics.instruments import Instruments
from exporter.model.component import Component
from exporter.model.errors import LedgerUnavailableError
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.round import Rounds, Watched
from exporter.scheduler import Schedule
from exporter.settings.load import Configuration
from exporter.surroundings import Surroundings
from exporter.web.api.clerk import Clerk
from exporter.web.api.desk import Desk
from exporter.web.entry.access import Access
from exporter.web.entry.keyring import REFRESH_SECONDS, Keyring
from exporter.web.entry.sessions import Sessions
from exporter.web.serving.front import Front

_SWEEP_SECONDS = 1.0
_LOOK_FOR_CHANGES_SECONDS = 10.0
_LEFT_BEHIND_SECONDS = 10.0
"""At most, between two looks for operations whose owner died; oftener where leases are short."""
_REPORT_SECONDS = 10.0
"""Between two looks whether the day's report is due."""
_KEEPINGS = 4
"""How often the lease on the targets is renewed within its length."""
_PATIENCE_SECONDS = 0.5
_log = structlog.get_logger(__name__)


class Daemon:
    """Holds what runs: the schedule over the engine, its metrics, and the periodic chores."""

    def __init__(self, configure: Callable[[], Configuration]) -> None:
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
        self._surroundings: Surroundings | None = None
        self._history: Keeper | None = None
        self._chores = Chores()
        self._supervisor = Supervisor()
        self._reloads = Reloads(
            configure,
            swap=self._swap,
            instruments=self.instruments,
            supervisor=self._supervisor,
        )
        self.reload = self._reloads.reload
        self._showing = Showing(self._reloads)
        self.status = self._showing.status
        self.bulletin = Bulletin(lambda: self.engine, self.instruments)
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
        self._surroundings = surroundings = Surroundings(
            ledger=engine.ledger,
            remediator=engine.remediator,
            ownership=engine.ownership,
            alarms=lambda: engine.alerts.alarms,
        )
        self._history = Keeper(
            engine.owner,
            shelf=engine.ledger,
            bounds=lambda: engine.configuration.settings.history,
            now=engine.now,
        )
        self._rounds = Rounds(
            fleet=engine.fleet,
            ledger=engine.ledger,
            remediator=engine.remediator,
            surroundings=surroundings,
            instruments=self.instruments,
            now=engine.now,
            wake=self.wake,
            recorder=self._history.recorder,
            on_decided=self._showing.decided,
        )
        self._show_configuration(engine.configuration.targets)
        self._reloads.take(engine)
        self._showing.take(engine)

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

    def clerk(self) -> Clerk:
        """What the read and control routes are served from."""
        return Clerk(
            people=lambda: self.engine.people,
            ledger=lambda: self.engine.ledger,
            now=self.engine.now,
            explain=self.explain,
        )

    def explain(self, target: str) -> tuple[Explanation, ...]:
        """Why each policy does what it does on a target, on the newest report."""
        if self._surroundings is None:
            return ()
        engine = self.engine
        return explain(
            engine.policies,
            engine.backends[target].target,
            engine.fleet.report(target),
            self._surroundings,
            max_mode=engine.configuration.settings.max_mode,
            ledger_ok=engine.ledger.available,
            now=engine.now(),
        )

    def access(self, front: Front) -> Access:
        """Who may come in."""
        self._keyring = Keyring(self.engine.ledger.api_keys)
        return Access(
            keyring=self._keyring,
            sessions=Sessions(self._keyring),
            reading_needs_key=lambda: self.engine.configuration.settings.reading_needs_key,
            passwords=front.passwords,
            on_failure=self.instruments.auth_failed,
        )

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads: from the very start, so that none is lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloads.soon)

    async def start(self) -> None:
        """Start the schedule and the chores, once it is known who acts, if that is quick."""
        self._chores.every(self._keeping_seconds, self._keep)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._kept.wait(), _PATIENCE_SECONDS)
        self._schedule.start()
        self._schedule.set_targets(self.engine.configuration.targets)
        self._chores.every(_SWEEP_SECONDS, self._sweep)
        self._chores.every(REFRESH_SECONDS, self._refresh_keys)
        self._chores.every(_SWEEP_SECONDS, self.engine.alerts.look)
        self._chores.every(min(_LEFT_BEHIND_SECONDS, self._keeping_seconds), self._left_behind)
        checking = Checking(lambda: self.engine, self.instruments)
        self._chores.every(CHECK_SECONDS, checking.look)
        self._chores.every(_REPORT_SECONDS, Reporting(lambda: self.engine).look)
        retention = Retention(lambda: self.engine, self._clock_suspect)
        self._chores.every(RETENTION_SECONDS, retention.look)
        if self._history is not None:
            self._chores.every(LOOK_SECONDS, self._history.keep_history)
            self._chores.every(PRUNE_SECONDS, self._history.prune_history)
        self._chores.every(_LOOK_FOR_CHANGES_SECONDS, self._reloads.when_changed)
        if self._supervisor.ping_seconds is not None:
            self._chores.every(self._supervisor.ping_seconds, self._supervisor.ping)
        self._supervisor.ready(self._reloads.standing())

    async def drain(self) -> None:
        """Start nothing more, and let running operations finish for a bounded time."""
        if self._rounds is not None:
            self._rounds.accepting = False
        self.engine.people.accepting = False
        seconds = self.engine.configuration.settings.drain_timeout.total_seconds()
        self._supervisor.stopping()
        _log.info("daemon.stopping", running=sorted(self.engine.remediator.busy))
        self.engine.notifier.hurry()
        await self.engine.remediator.drain(seconds)

    async def stop(self) -> None:
        """Stop the chores and the schedule."""
        await self._chores.stop()
        await self._schedule.stop()
        if self._history is not None:
            await self._history.stop()
        await self.engine.ownership.release()

    def wake(self, target: str, components: frozenset[Component]) -> None:
        """Read these components of a target as soon as possible."""
        self._schedule.wake(target, components)

    def _swap(self, built: Built) -> None:
        """Put it in force. What was known of a target that is another one now is forgotten."""
        before = self.engine.backends
        self.engine.swap(built)
        after = built.configuration.targets
        other = {name for name, b in before.items() if built.backends.get(name) is not b}
        for name in other:
            self._showing.forget(name)
            if self._rounds is not None:
                self._rounds.forget(name)
        same = [target for target in after if target.name not in other]
        self._show_configuration(same)  # an other target loses its series first
        self._show_configuration(after)
        if self._front is not None and not self._front.use(built.configuration.web):
            _log.warning("config.needs_restart", key="web_config_file")
        self._schedule.set_targets(same)
        self._schedule.set_targets(after)

    def _show_configuration(self, targets: Sequence[Target]) -> None:
        most = self.engine.configuration.settings.max_mode
        modes = {p.name: p.mode_under(most) for p in self.engine.policies}
        self._targets = self.engine.configuration.targets
        self.instruments.configure(targets, modes, now=self.engine.now())
        self.instruments.notifiers(self.engine.configuration.settings.notifiers)

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

    async def _sweep(self) -> None:
        now = self.engine.now()
        self.instruments.sweep(now)
        pauses = self.engine.ledger.standing.orders.pauses
        self.instruments.pauses(pause for pause in pauses if pause.in_force(now))
        self.instruments.approvals_pending(len(plans_of(self.engine)))

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

    def _clock_suspect(self) -> bool:
        return self._surroundings is not None and self._surroundings.suspicion is not None

    async def _left_behind(self) -> None:
        if not self.engine.ownership.owned:
            return
        await look_after(self.engine, self.bulletin.operation_closed)
