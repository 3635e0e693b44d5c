"""A target that is a Restate itself: the doctor's probes and every remedy, over its own API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from exporter.backends.backend import Backend
from exporter.doctor import PROBES, ProbeContext, probe_all
from exporter.model.component import Component
from exporter.model.findings import Findings
from exporter.model.report import Reading
from exporter.model.target import Target, normalise_url
from exporter.remedies.catalogue import REMEDIES
from exporter.remedies.remedy import RemedyContext
from exporter.restate_api import connect
from exporter.settings.schema import Settings, TargetSettings
from exporter.settings.secrets import TokenSource
from exporter.transport import Transport


def supported_remedies() -> frozenset[str]:
    """What a Restate target can be asked to do."""
    return frozenset(REMEDIES)


def build_direct(
    settings: Settings, target_settings: TargetSettings, target: Target, transport: Transport
) -> Backend:
    """Build the backend of one Restate; nothing is called yet."""
    ingress_token = TokenSource(target_settings.ingress_token)
    admin_token = TokenSource(target_settings.admin_token)
    api = connect(
        transport,
        ingress_url=target_settings.ingress_url,
        admin_url=target_settings.admin_url,
        ingress_token=ingress_token,
        admin_token=admin_token,
        timeout=settings.timeout,
    )
    probing = ProbeContext(api=api, target=target)
    allowed = frozenset(normalise_url(url) for url in settings.allowed_service_urls)

    async def probe(due: Iterable[Component]) -> tuple[Reading, ...]:
        return await probe_all(PROBES, due, context=probing, clock=lambda: datetime.now(UTC))

    def due_now(components: frozenset[Component]) -> frozenset[Component]:
        return components if probing.scans.due() else components - {Component.INVOCATIONS}

    def context(findings: Findings, now: Callable[[], datetime]) -> RemedyContext:
        return RemedyContext(
            api=api, target=target, now=now, findings=findings, allowed_urls=allowed
        )

    def refresh_secrets() -> None:
        ingress_token.refresh()
        admin_token.refresh()

    return Backend(
        target=target,
        probe=probe,
        due_now=due_now,
        remedies=REMEDIES,
        context=context,
        refresh_secrets=refresh_secrets,
    )
