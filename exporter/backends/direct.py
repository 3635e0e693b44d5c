"""A target that is a Restate itself: the doctor's probes and every remedy, over its own API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from exporter.backends.backend import Backend
from exporter.backends.token import Token
from exporter.doctor import PROBES, Heart, ProbeContext, ScanGovernor, probe_all, work
from exporter.model.component import Component
from exporter.model.findings import Findings
from exporter.model.message import Tell
from exporter.model.report import Reading, Report
from exporter.model.target import Target, normalise_url
from exporter.model.token import Tokens, tokens_of
from exporter.model.views import AdminView, InvocationsView
from exporter.model.wanted import Wanted
from exporter.model.work import Work
from exporter.policy.served import Served
from exporter.remedies.catalogue import REMEDIES
from exporter.remedies.remedy import RemedyContext, tells_nobody
from exporter.restate_api import RestateApi, connect
from exporter.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a Restate is, and with which credentials and patience it is called."""

    ingress_url: str
    admin_url: str
    ingress_token: Token
    admin_token: Token
    timeout: timedelta
    node_url: str | None = None
    allowed_service_urls: tuple[str, ...] = ()


SERVED = Served.all_of(REMEDIES)
"""A Restate itself can be asked everything."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def build_direct(
    target: Target, connection: Connection, transport: Transport, *, tell: Tell = tells_nobody
) -> Backend:
    """Build the backend of one Restate; nothing is called yet."""
    api = connect(
        transport,
        ingress_url=connection.ingress_url,
        admin_url=connection.admin_url,
        node_url=connection.node_url,
        ingress_token=connection.ingress_token,
        admin_token=connection.admin_token,
        timeout=connection.timeout,
    )
    wanted = Wanted()
    scans = ScanGovernor()
    heart = _heart(target, api, scans)
    probing = ProbeContext(api=api, target=target, scans=scans, wanted=lambda: wanted, heart=heart)
    allowed = frozenset(normalise_url(url) for url in connection.allowed_service_urls)

    async def probe(due: Iterable[Component]) -> tuple[Reading, ...]:
        return await probe_all(PROBES, due, context=probing, clock=utc_now)

    def due_now(components: frozenset[Component]) -> frozenset[Component]:
        return components if probing.scans.due() else components - {Component.INVOCATIONS}

    def want(more: Wanted) -> None:
        nonlocal wanted
        wanted = more

    def context(findings: Findings, now: Callable[[], datetime]) -> RemedyContext:
        return RemedyContext(
            api=api,
            target=target,
            now=now,
            findings=findings,
            allowed_urls=allowed,
            tell=tell,
        )

    def refresh_secrets() -> None:
        connection.ingress_token.refresh()
        connection.admin_token.refresh()

    def tokens() -> Tokens:
        return tokens_of(ingress=connection.ingress_token(), admin=connection.admin_token())

    async def work_of(service: str, key: str | None, report: Report) -> Work:
        admin = report.readings.get(Component.ADMIN)
        scan = report.readings.get(Component.INVOCATIONS)
        version = admin.view.version if admin and isinstance(admin.view, AdminView) else None
        seen = scan.view if scan and isinstance(scan.view, InvocationsView) else None
        version = version or await api.admin.version()
        return await work.look(probing, service, key, version=version, scan=seen)

    return Backend(
        target=target,
        probe=probe,
        due_now=due_now,
        remedies=REMEDIES,
        context=context,
        want=want,
        refresh_secrets=refresh_secrets,
        tokens=tokens,
        close=partial(_stop, heart),
        work_of=work_of,
    )


def _heart(target: Target, api: RestateApi, scans: ScanGovernor) -> Heart | None:
    if target.heartbeat is None:
        return None
    return Heart(target.name, target.heartbeat, api=api, scans=scans, clock=utc_now)


def _stop(heart: Heart | None) -> None:
    if heart is not None:
        heart.close()
