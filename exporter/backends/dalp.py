"""A target behind a remote operator API: a DALP platform, or another restate-medic.

The same report, findings, policies, ledger and verification as of a Restate itself, on what one
doctor call tells; the remedies are requests. What that API does not tell or cannot do is refused
when a policy is loaded (``SERVED``), so that no policy waits for ever for what is never known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from exporter.backends.backend import Backend
from exporter.backends.token import Token
from exporter.doctor.remote import RemoteDoctor
from exporter.model.component import RECOVERY_API_COMPONENTS
from exporter.model.decision import Mode
from exporter.model.findings import Findings
from exporter.model.message import Tell
from exporter.model.target import Target, normalise_url
from exporter.operator_api import OperatorApi
from exporter.policy.served import Served, ServedRemedy
from exporter.remedies.remedy import TargetContext, tells_nobody
from exporter.remedies.remote import REMOTE_REMEDIES, RemoteContext
from exporter.transport import Transport

_NO_DRY_RUN = "a remote operator API has no dry-run"
_LIMITS = {
    "force-redeploy": ServedRemedy(
        most=Mode.APPROVE,
        why=f"{_NO_DRY_RUN}, so nothing can be checked before",
        cannot=MappingProxyType({"stable_for": _NO_DRY_RUN}),
    ),
    "cleanup-stale-deployments": ServedRemedy(
        cannot=MappingProxyType(
            dict.fromkeys(
                ("force_drain", "max_kills"),
                "a remote operator API does not list what a forced drain would kill",
            )
        )
    ),
}
_WORDS = frozenset(f"{c}.{word}" for c in RECOVERY_API_COMPONENTS for word in ("status", "reason"))
SERVED = Served(
    remedies=MappingProxyType(
        {name: _LIMITS.get(name, ServedRemedy()) for name in REMOTE_REMEDIES}
    ),
    variables=_WORDS
    | {f"{c}.age" for c in RECOVERY_API_COMPONENTS}
    | {
        "target.name",
        "target.kind",
        "target.labels",
        "admin.version",
        "services.registered",
        "services.missing",
        "workers.unregistered",
        "deployments.registered",
        "invocations.inboxed",
        "invocations.scheduled",
        "invocations.invoked",
        "invocations.suspended",
        "invocations.paused",
        "workflows.complete",
        "item.url",
        "item.registered",
        "item.missing",
        "item.id",
        "item.kind",
        "item.created_age",
        "item.service",
        "item.key",
        "item.invocation_id",
        "item.cause",
        "item.error",
        "item.age",
        "item.recoveries",
    },
    lists=frozenset({"workers", "deployments", "workflows.failed"}),
)
"""What the documented answers hold, and no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteConnection:
    """Where a remote operator API is, which of its targets is meant, and the key."""

    url: str
    api_key: Token
    target: str | None = None
    allowed_service_urls: tuple[str, ...] = ()


def build_dalp(
    target: Target, connection: RemoteConnection, transport: Transport, *, tell: Tell = tells_nobody
) -> Backend:
    """Build the backend of one remote target; nothing is called yet."""
    api = OperatorApi(
        transport, url=connection.url, key=connection.api_key, target=connection.target
    )
    doctor = RemoteDoctor(api, target, clock=lambda: datetime.now(UTC))
    allowed = frozenset(normalise_url(url) for url in connection.allowed_service_urls)

    def context(findings: Findings, now: Callable[[], datetime]) -> TargetContext:
        return RemoteContext(
            api=api, target=target, now=now, findings=findings, allowed_urls=allowed, tell=tell
        )

    def refresh_secrets() -> None:
        before = connection.api_key()
        connection.api_key.refresh()
        if connection.api_key() != before:
            doctor.ask_again()

    return Backend(
        target=target,
        probe=doctor.probe,
        due_now=doctor.due_now,
        remedies=REMOTE_REMEDIES,
        context=context,
        refresh_secrets=refresh_secrets,
    )
