"""What was built and opened, and the few things that are done with it from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exporter.alertmanager import AlertWatch
from exporter.app.build import Built, build
from exporter.backends.backend import Backend
from exporter.fleet import Fleet
from exporter.ledger.gateway import Ledger
from exporter.model.component import Component
from exporter.model.errors import LedgerUnavailableError
from exporter.model.report import Report
from exporter.notify import Notifier
from exporter.ownership import Ownership
from exporter.people import People
from exporter.policy.policy import Policy
from exporter.policy.wanted import wanted_by
from exporter.remediate.remediator import Remediator
from exporter.settings.load import Configuration
from exporter.transport import Transport

Wake = Callable[[str, frozenset[Component]], None]


class Engine:
    """Everything that is built, and the few things that are done with it from outside."""

    def __init__(  # noqa: PLR0913 - everything that was opened
        self,
        *,
        built: Built,
        transport: Transport,
        notifier: Notifier,
        alerts: AlertWatch,
        fleet: Fleet,
        ledger: Ledger | None,
        remediator: Remediator | None,
        ownership: Ownership | None,
        wake: Wake,
        owner: str,
        now: Callable[[], datetime],
        beats: bool = False,
    ) -> None:
        self._built = built
        self._transport = transport
        self.notifier = notifier
        self.alerts = alerts
        self.fleet = fleet
        self._ledger = ledger
        self._remediator = remediator
        self._ownership = ownership
        self.owner = owner
        self.now = now
        self._beats = beats
        self._people: People | None = None
        if ledger is not None and remediator is not None:
            self._people = People(
                backends=lambda: self.backends,
                remediator=remediator,
                ledger=ledger,
                fleet=fleet,
                wake=wake,
                now=now,
            )
        self._tell_what_is_wanted()

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._built.configuration

    @property
    def backends(self) -> dict[str, Backend]:
        """The backends in force, by target name."""
        return self._built.backends

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force, in file order."""
        return self._built.policies

    @property
    def ledger(self) -> Ledger:
        """The ledger; LedgerUnavailableError when this engine was opened without one."""
        if self._ledger is None:
            msg = "this command works without a ledger"
            raise LedgerUnavailableError(msg)
        return self._ledger

    @property
    def remediator(self) -> Remediator:
        """The remediator; LedgerUnavailableError when there is no ledger to write to."""
        if self._remediator is None:
            msg = "no action without a ledger"
            raise LedgerUnavailableError(msg)
        return self._remediator

    @property
    def people(self) -> People:
        """What carries out people's requests; LedgerUnavailableError without a ledger."""
        if self._people is None:
            raise LedgerUnavailableError("no action without a ledger")
        return self._people

    @property
    def ownership(self) -> Ownership:
        """The lease on the targets; LedgerUnavailableError without a ledger to keep it in."""
        if self._ownership is None:
            raise LedgerUnavailableError("nobody acts without a ledger")
        return self._ownership

    async def read(self, name: str, components: frozenset[Component]) -> Report:
        """Probe these components of a target now and merge what they saw."""
        backend = self.backends[name]
        readings = await backend.probe(components & backend.target.intervals.keys())
        return self.fleet.merge(backend.target, readings, now=self.now())

    def rebuild(self, configuration: Configuration) -> Built:
        """Build another configuration beside this one. ConfigurationError changes nothing."""
        tell = self.notifier.deliver
        return build(
            configuration, self._transport, tell=tell, before=self._built, beats=self._beats
        )

    def swap(self, built: Built) -> None:
        """Put a built configuration in force. Running rounds and operations keep theirs."""
        for name, backend in self.backends.items():
            if built.backends.get(name) is not backend:
                self.fleet.forget(name)
                backend.close()
        self.notifier.configure(built.destinations)
        self.alerts.configure(built.alertmanager)
        self._built = built
        self._tell_what_is_wanted()

    def close(self) -> None:
        """Stop what goes on beside the probes."""
        for backend in self.backends.values():
            backend.close()

    def _tell_what_is_wanted(self) -> None:
        most = self.configuration.settings.max_mode
        for backend in self.backends.values():
            backend.want(wanted_by(self.policies, backend.target, most))
