"""The wiring: builds everything once from a configuration, for the daemon and the commands alike.

A configuration is built completely before anything is swapped, so an invalid one changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.alertmanager import AlertmanagerApi, AlertWatch, Source
from exporter.backends import dalp, direct
from exporter.backends.backend import Backend
from exporter.fleet import Fleet
from exporter.ledger.engine import ledger_url
from exporter.ledger.gateway import Ledger
from exporter.model.component import Component
from exporter.model.errors import LedgerUnavailableError
from exporter.model.message import Receipt, Tell
from exporter.model.operation import Operation
from exporter.model.report import Report
from exporter.model.target import Target, TargetKind
from exporter.notify import Destination, Notifier
from exporter.ownership import Ownership
from exporter.people import People
from exporter.policy.load import check_against, load_policies
from exporter.policy.policy import Policy
from exporter.policy.served import Served
from exporter.policy.wanted import wanted_by
from exporter.remediate import OnClosed, Remediator
from exporter.settings.alertmanager import AlertmanagerSettings
from exporter.settings.load import Configuration
from exporter.settings.schema import Settings
from exporter.settings.secrets import TokenSource
from exporter.settings.targets import TargetSettings
from exporter.transport import Transport, authorization
from exporter.verification import Verifier
from exporter.web.address import parse_address
from exporter.web.tls import server_context

Wake = Callable[[str, frozenset[Component]], None]
_LAST_MESSAGES_SECONDS = 5.0
"""For so long closing tries to deliver what waits to be told."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def owner_name() -> str:
    """Who holds a lease: host, process, and a part that no restart repeats."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"


@dataclass(frozen=True, slots=True)
class Built:
    """What one configuration gives: the targets' backends, the policies over them, who is told."""

    configuration: Configuration
    backends: dict[str, Backend]
    policies: tuple[Policy, ...]
    destinations: dict[str, Destination]
    alertmanager: Source | None = None


def check(configuration: Configuration) -> tuple[Policy, ...]:
    """Check everything that running needs, and load the policies.

    ConfigurationError lists the problems.
    """
    parse_address(configuration.settings.web_listen_address)
    tls = configuration.web.tls_server_config
    if tls is not None:
        server_context(tls)
    ledger_url(configuration.storage_url)
    policies = load_policies(
        configuration.policy_patterns,
        limits=tuple(limit.window for limit in configuration.settings.limits),
        base=configuration.base,
    )
    notifiers = configuration.settings.notifiers
    check_against(
        policies,
        configuration.targets,
        served(configuration),
        notifiers,
        alertmanager=configuration.settings.alertmanager is not None,
    )
    return policies


def served(configuration: Configuration) -> dict[str, Served]:
    """What each target can be asked for, by target name."""
    kinds: dict[TargetKind, Served] = {"restate": direct.SERVED, "dalp": dalp.SERVED}
    return {target.name: kinds[target.kind] for target in configuration.targets}


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
        return build(configuration, self._transport, tell=tell, before=self._built)

    def swap(self, built: Built) -> None:
        """Put a built configuration in force. Running rounds and operations keep theirs."""
        for name, backend in self.backends.items():
            if built.backends.get(name) is not backend:
                self.fleet.forget(name)
        self.notifier.configure(built.destinations)
        self.alerts.configure(built.alertmanager)
        self._built = built
        self._tell_what_is_wanted()

    def _tell_what_is_wanted(self) -> None:
        most = self.configuration.settings.max_mode
        for backend in self.backends.values():
            backend.want(wanted_by(self.policies, backend.target, most))


def build(
    configuration: Configuration,
    transport: Transport,
    *,
    tell: Tell,
    before: Built | None = None,
) -> Built:
    """Build the backends and load the policies of a configuration.

    A target that is written as ``before`` keeps its backend, and with it what paces its scans.
    """
    backends = _backends(configuration, transport, tell, before)
    return Built(
        configuration,
        backends,
        check(configuration),
        _destinations(configuration),
        _alertmanager(configuration.settings.alertmanager, transport),
    )


def _destinations(configuration: Configuration) -> dict[str, Destination]:
    notifiers = configuration.settings.notifiers.items()
    return {name: Destination(TokenSource(one.webhook), one.format) for name, one in notifiers}


def _alertmanager(written: AlertmanagerSettings | None, transport: Transport) -> Source | None:
    if written is None:
        return None
    secret = TokenSource(written.basic_auth.password if written.basic_auth else written.token)
    user = written.basic_auth.username if written.basic_auth else None
    api = AlertmanagerApi(
        transport,
        url=written.url,
        authorization=lambda: authorization(secret(), user),
        warm_up=written.warm_up,
        watchdog=written.watched,
    )
    return Source(
        written=written,
        api=api,
        interval=written.interval,
        max_age=written.max_age,
        silences=written.silences,
        refresh_secrets=secret.refresh,
    )


def _backends(
    configuration: Configuration, transport: Transport, tell: Tell, before: Built | None
) -> dict[str, Backend]:
    settings = configuration.settings
    kept = _written(before.configuration) if before else {}
    backends: dict[str, Backend] = {}
    for name, written in _written(configuration).items():
        if before is not None and kept.get(name) == written:
            backends[name] = before.backends[name]
            backends[name].refresh_secrets()
        else:
            target_settings, target = written[:2]
            backends[name] = _backend(settings, target_settings, target, transport, tell)
    return backends


def _written(configuration: Configuration) -> dict[str, tuple[TargetSettings, Target, object]]:
    """All that makes a target's backend, by name."""
    settings = configuration.settings
    shared = (settings.timeout, settings.allowed_service_urls)
    pairs = zip(settings.targets, configuration.targets, strict=True)
    return {target.name: (written, target, shared) for written, target in pairs}


def _backend(
    settings: Settings, written: TargetSettings, target: Target, transport: Transport, tell: Tell
) -> Backend:
    if written.dalp is not None:
        remote = dalp.RemoteConnection(
            url=written.dalp.url,
            api_key=TokenSource(written.dalp.api_key),
            target=written.dalp.target,
            allowed_service_urls=settings.allowed_service_urls,
        )
        return dalp.build_dalp(target, remote, transport, tell=tell)
    connection = direct.Connection(
        ingress_url=str(written.ingress_url),
        admin_url=str(written.admin_url),
        ingress_token=TokenSource(written.ingress_token),
        admin_token=TokenSource(written.admin_token),
        timeout=settings.timeout,
        allowed_service_urls=settings.allowed_service_urls,
    )
    return direct.build_direct(target, connection, transport, tell=tell)


@asynccontextmanager
async def open_engine(  # noqa: PLR0913 - one argument an event that somebody may listen to
    configuration: Configuration,
    *,
    with_ledger: bool = True,
    with_policies: bool = True,
    ledger_required: bool = True,
    wake: Wake | None = None,
    on_closed: OnClosed = lambda _operation, _request: None,
    on_proposed: Callable[[Operation], None] = lambda _operation: None,
    on_ledger_failure: Callable[[], None] = lambda: None,
    on_receipt: Callable[[Receipt], None] = lambda _receipt: None,
    on_alerts: Callable[[datetime | None], None] = lambda _heard_at: None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Engine]:
    """Open everything, and close it in reverse.

    Without ``wake`` (a command, no schedule) a reading that is asked for is taken at once. With
    ``ledger_required`` false an unavailable ledger is tried again later instead of raising.
    """
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Transport())
        notifier = Notifier(transport=transport, on_receipt=on_receipt)
        stack.push_async_callback(notifier.close, _LAST_MESSAGES_SECONDS)
        tell = notifier.deliver
        built = (
            build(configuration, transport, tell=tell)
            if with_policies
            else Built(configuration, _backends(configuration, transport, tell, None), (), {})
        )
        notifier.configure(built.destinations)
        alerts = AlertWatch(now=now, on_heard=on_alerts)
        alerts.configure(built.alertmanager)
        fleet = Fleet()
        ledger: Ledger | None = None
        if with_ledger:
            ledger = await Ledger.open(
                configuration.storage_url,
                on_failure=on_ledger_failure,
                required=ledger_required,
            )
            stack.push_async_callback(ledger.close)
        reader = _Reader()
        wake = wake or reader.wake
        verifier = Verifier(fleet=fleet, now=now, wake=wake)
        owner = owner_name()
        remediator = ownership = None
        if ledger is not None:
            lease = configuration.settings.lease
            ownership = keeping = Ownership(ledger=ledger, owner=owner, lease=lease)
            remediator = Remediator(
                ledger=ledger,
                fleet=fleet,
                verifier=verifier,
                owner=owner,
                lease=lease,
                fence=lambda: keeping.fence,
                now=now,
                on_closed=on_closed,
                on_proposed=on_proposed,
            )
        engine = Engine(
            built=built,
            transport=transport,
            notifier=notifier,
            alerts=alerts,
            fleet=fleet,
            ledger=ledger,
            remediator=remediator,
            ownership=ownership,
            wake=wake,
            owner=owner,
            now=now,
        )
        reader.engine = engine
        stack.push_async_callback(reader.close)
        yield engine


class _Reader:
    """Takes readings that are asked for while no schedule runs."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self._tasks: set[asyncio.Task[Report]] = set()

    def wake(self, name: str, components: frozenset[Component]) -> None:
        if self.engine is not None:
            task = asyncio.ensure_future(self.engine.read(name, components))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
