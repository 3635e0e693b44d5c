"""What went wrong, as the operator API says it: the one place where errors become codes.

A refusal's own word stays in ``data.reason``; the reference names some of them, and those have
codes of their own. Where an operation was begun and did not succeed, its row tells why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from exporter.model.component import Reason, Status
from exporter.model.errors import (
    AmbiguousError,
    CallFailedError,
    InFlightError,
    LeaseLostError,
    LedgerUnavailableError,
    MedicError,
    NotFoundError,
    RefusedError,
)
from exporter.model.operation import Operation, Outcome
from exporter.model.redact import redact_text, sanitise
from exporter.people import STOPPING
from exporter.restate_api import DiscoveryFailedError
from exporter.wire.operator import STATUS, Code

QUERY_FAILED = "query-failed"
_RECOVER = "recover-stuck-workflow"
_REFUSALS: Mapping[str, tuple[Code, HTTPStatus | None]] = MappingProxyType(
    {
        "deployment-not-found": (Code.DEPLOYMENT_NOT_FOUND, None),
        "active-invocation": (Code.WORKFLOW_RETRY_BLOCKED, None),
        "already-succeeded": (Code.WORKFLOW_RETRY_BLOCKED, None),
        "purge-failed": (Code.WORKFLOW_RETRY_BLOCKED, HTTPStatus.BAD_GATEWAY),
        QUERY_FAILED: (Code.WORKFLOW_RETRY_BLOCKED, HTTPStatus.BAD_GATEWAY),
        "remedy-unsupported": (Code.REMEDY_UNSUPPORTED, None),
        # What a remote operator API said, of a target behind one:
        "in-flight": (Code.OPERATION_IN_FLIGHT, None),
        "admin-unreachable": (Code.ADMIN_UNREACHABLE, None),
        "discovery-failed": (Code.DISCOVERY_FAILED, None),
        "operation-failed": (Code.OPERATION_FAILED, None),
        STOPPING: (Code.SHUTTING_DOWN, None),
        # Of a plan that was to be approved or rejected:
        **dict.fromkeys(
            ("not-waiting", "expired", "already-approved"), (Code.OPERATION_NOT_WAITING, None)
        ),
    }
)
"""By a refusal's word; every other one is ``PREFLIGHT_REFUSED``."""
_NOT_REACHED = frozenset(
    {reason for reason in Reason if reason.status is Status.UNREACHABLE}
    | {Reason.UNAUTHORIZED, Reason.THROTTLED}
)
_PLURAL: Mapping[str, str] = MappingProxyType({"target": "targets", "policy": "policies"})
_DONE = frozenset({Outcome.VERIFIED, Outcome.PARTIAL, Outcome.NOTHING_TO_DO})


@dataclass(frozen=True, slots=True)
class Failure:
    """One error answer. ``message`` is free of secrets."""

    code: Code
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus | None = None
    retry_after: timedelta | None = None

    @property
    def http_status(self) -> HTTPStatus:
        """The answer's status."""
        return self.status or STATUS[self.code]


def failure_of(error: MedicError, remedy: str = "") -> Failure:
    """The answer to what was not begun at all."""
    message = redact_text(str(error))
    match error:
        case RefusedError():
            return _refusal(error.reason, message, error.data, override=error.override)
        case InFlightError():
            data = {"operationId": error.operation_id}
            return Failure(Code.OPERATION_IN_FLIGHT, message, data)
        case NotFoundError():
            code = Code.TARGET_NOT_FOUND if error.kind == "target" else Code.NOT_FOUND
            told: dict[str, Any] = {"kind": error.kind}
            if error.known:
                told[_PLURAL.get(error.kind, "known")] = list(error.known)
            return Failure(code, message, told)
        case AmbiguousError():
            return Failure(Code.BAD_REQUEST, message, {"matches": list(error.matches)})
        case LedgerUnavailableError():
            return Failure(Code.LEDGER_UNAVAILABLE, message)
        case DiscoveryFailedError():
            return Failure(Code.DISCOVERY_FAILED, message, _known(error))
        case CallFailedError():
            failure = _call_failed(error.reason, message, remedy, _known(error))
            return failure or Failure(
                Code.ADMIN_UNREACHABLE, message, _known(error), retry_after=error.retry_after
            )
        case LeaseLostError():
            return Failure(Code.OPERATION_FAILED, message, {"outcome": str(Outcome.INTERRUPTED)})
        case _:
            return Failure(Code.PREFLIGHT_REFUSED, message, {"reason": "refused"})


def failure_of_operation(operation: Operation) -> Failure | None:
    """The answer to an operation that was closed; None when it did what was asked."""
    reason = operation.after.get("reason")
    if operation.outcome in _DONE and reason is None:
        return None
    message = operation.error or f"the operation ended {operation.outcome}"
    told = {"operationId": operation.id, "outcome": str(operation.outcome)}
    if isinstance(reason, str):
        listed = operation.after.get("invocationIds")
        return _refusal(reason, message, {} if listed is None else {"invocationIds": listed})
    match operation.outcome:
        case Outcome.UNVERIFIED:
            return Failure(Code.OPERATION_UNVERIFIED, message, told)
        case Outcome.INDETERMINATE:
            return Failure(Code.ADMIN_UNREACHABLE, message, told)
        case _:
            return _failed(operation.after.get("failure"), operation.remedy, message, told)


def _failed(kind: object, remedy: str, message: str, told: Mapping[str, Any]) -> Failure:
    if kind == "discovery":
        return Failure(Code.DISCOVERY_FAILED, message, told)
    if kind in set(Reason):
        found = _call_failed(Reason(str(kind)), message, remedy, told)
        if found is not None:
            return found
        if kind in _NOT_REACHED:
            return Failure(Code.ADMIN_UNREACHABLE, message, told)
    return Failure(Code.OPERATION_FAILED, message, told)


def _call_failed(
    reason: Reason, message: str, remedy: str, data: Mapping[str, Any]
) -> Failure | None:
    """Restate answered a question about a key, and not as it should: nothing was cleared."""
    if remedy != _RECOVER or reason in _NOT_REACHED:
        return None
    return _refusal(QUERY_FAILED, message, {**data, "invocationIds": []})


def _refusal(
    reason: str, message: str, data: Mapping[str, Any], *, override: str | None = None
) -> Failure:
    code, status = _REFUSALS.get(reason, (Code.PREFLIGHT_REFUSED, None))
    told = {"reason": reason, **sanitise(dict(data))}
    if override is not None:
        told["allow"] = override
    if code is Code.WORKFLOW_RETRY_BLOCKED:
        told.setdefault("invocationIds", [])
    wait = timedelta(minutes=1) if code is Code.SHUTTING_DOWN else None
    return Failure(code, message, told, status, wait)


def _known(error: CallFailedError) -> dict[str, Any]:
    known: dict[str, Any] = {"cause": str(error.reason)}
    if error.code is not None:
        known["restateCode"] = error.code
    return known
