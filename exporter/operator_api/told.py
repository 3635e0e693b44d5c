"""A doctor answer of a remote operator API, component by component.

What is missing or of another kind than documented makes its own component degraded, and no other:
it never looks like "nothing there". Fields that are not documented are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import ValidationError

from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.redact import redact_text
from exporter.model.views import (
    AdminView,
    DeploymentList,
    IngressView,
    InvocationSummary,
    ListedDeployment,
    RecentFailure,
    ServiceList,
    View,
)
from exporter.transport import clean_text
from exporter.wire.doctor import (
    RECENT_FAILURES,
    AdminAnswer,
    DeploymentsAnswer,
    IngressAnswer,
    InvocationsAnswer,
    ServicesAnswer,
    WireStatus,
)

_STATUSES: Final = frozenset(get_args(WireStatus))
_OVER: Final = frozenset({"completed", "killed", "cancelled", "canceled"})
"""Words for what is finished (reference, Retry blocked reasons): no unfinished work."""
_STATUS_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_MOST_STATUSES = 50
_MOST = 2**53
"""What a metric can still tell from its neighbours."""
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Told:
    """One component as the other side tells it. ``view`` is present exactly when it is ok."""

    status: Status
    latency_seconds: float | None = None
    reason: Reason | None = None
    error: str | None = None
    view: View | None = None


def told_of(body: Mapping[str, Any]) -> dict[Component, Told]:
    """Every component of the answer; what cannot be used is degraded, and says why."""
    return {component: _told(component, body) for component in RECOVERY_API_COMPONENTS}


def _told(component: Component, body: Mapping[str, Any]) -> Told:
    part = body.get(component.value)
    if not isinstance(part, dict):
        return _unusable(f"the answer tells nothing of {component}")
    status = part.get("status")
    if not isinstance(status, str) or status not in _STATUSES:
        shown = clean_text(status, 40) if isinstance(status, str) else type(status).__name__
        return _unusable(f"{component}.status is {shown!r}, which is no documented word")
    try:
        latency = _latency(part)
        if status == Status.OK:
            return Told(Status.OK, latency, view=_VIEWS[component](part))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in (component, *first["loc"]))
        return _unusable(clean_text(f"{where}: {first['msg']}"))
    except (ValueError, OverflowError) as error:
        return _unusable(clean_text(f"{component}: {error}"))
    error_text = part.get("error")
    said = clean_text(error_text) if isinstance(error_text, str) else ""
    return Told(Status(status), latency, Reason.REPORTED, said or "the other side does not say why")


def _unusable(why: str) -> Told:
    return Told(Status.DEGRADED, reason=Reason.BAD_BODY, error=redact_text(why))


def _latency(part: Mapping[str, Any]) -> float | None:
    """Only ingress and admin tell one."""
    milliseconds = part.get("latencyMs")
    if milliseconds is None:
        return None
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)):
        raise ValueError("latencyMs is no number")  # noqa: TRY004 - told like all that is wrong
    if not (math.isfinite(milliseconds) and 0 <= milliseconds <= _MOST):
        raise ValueError("latencyMs is out of range")
    return milliseconds / 1000


def _ingress(part: Mapping[str, Any]) -> View:
    IngressAnswer.model_validate(_with_latency(part), strict=True)
    return IngressView(services=None)


def _admin(part: Mapping[str, Any]) -> View:
    version = AdminAnswer.model_validate(_with_latency(part), strict=True).version
    return AdminView(version=None if version is None else _plain("version", version))


def _with_latency(part: Mapping[str, Any]) -> dict[str, Any]:
    """An absent latency is a null one."""
    return {"latencyMs": None, **part}


def _deployments(part: Mapping[str, Any]) -> View:
    answer = DeploymentsAnswer.model_validate(part, strict=True)
    _require(part, "items")
    items = tuple(
        ListedDeployment(
            id=_plain("id", row.id),
            url=_plain("serviceUrl", row.service_url),
            kind="lambda" if row.service_url.startswith("arn:") else "http",
            created_at=_moment("createdAt", row.created_at),
        )
        for row in answer.items
    )
    if len({item.id for item in items}) < len(items):
        raise ValueError("two deployments have the same id")
    return DeploymentList(items)


def _services(part: Mapping[str, Any]) -> View:
    answer = ServicesAnswer.model_validate(part, strict=True)
    _require(part, "items")
    return ServiceList({_plain("name", row.name): _count(row.revision) for row in answer.items})


def _invocations(part: Mapping[str, Any]) -> View:
    rows = part.get("recentFailures")
    more = isinstance(rows, list) and len(rows) >= RECENT_FAILURES
    if more:
        part = {**part, "recentFailures": (rows or [])[:RECENT_FAILURES]}
    answer = InvocationsAnswer.model_validate(part, strict=True)
    _require(part, "byStatus", "recentFailures")
    if len(answer.by_status) > _MOST_STATUSES:
        raise ValueError("byStatus has more words than there are statuses")
    failures = tuple(
        RecentFailure(
            id=_plain("id", row.id),
            service=_plain("serviceName", row.service_name),
            key=_key(row.service_key),
            failed_at=_moment("failedAt", row.failed_at),
            error=clean_text(row.error_message),
        )
        for row in answer.recent_failures
    )
    return InvocationSummary(
        by_status={
            _status(word): _count(n) or 0 for word, n in answer.by_status.items() if _active(word)
        },
        recent_failures=tuple(sorted(failures, key=lambda f: f.failed_at, reverse=True)),
        complete=not more,
    )


_VIEWS: Mapping[Component, Callable[[Mapping[str, Any]], View]] = MappingProxyType(
    {
        Component.INGRESS: _ingress,
        Component.ADMIN: _admin,
        Component.DEPLOYMENTS: _deployments,
        Component.SERVICES: _services,
        Component.INVOCATIONS: _invocations,
    }
)


def _require(part: Mapping[str, Any], *names: str) -> None:
    """What our own server may leave to a default must not be read as empty."""
    for name in names:
        if name not in part:
            raise ValueError(f"{name} is missing")


def _plain(name: str, text: str) -> str:
    """Text that can be shown, sent back and encoded."""
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise ValueError(f"{name} is empty, too long or not printable")
    return text


def _key(text: str | None) -> str | None:
    """A key that cannot be sent back is as good as none."""
    return text if text and len(text) <= _LONGEST and text.isprintable() else None


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is no ISO 8601 moment") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return moment.astimezone(UTC)


def _count(number: int | None) -> int | None:
    if number is not None and not 0 <= number <= _MOST:
        raise ValueError("a count is out of range")
    return number


def _active(word: str) -> bool:
    return word.lower() not in _OVER


def _status(word: str) -> str:
    if not _STATUS_WORD.fullmatch(word):
        raise ValueError("byStatus has something that is no word")
    return word
