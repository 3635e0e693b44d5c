"""How an act ended that did not return, in the ledger's words and in a person's."""

from __future__ import annotations

from typing import Any

import structlog

from exporter.model.errors import (
    CallFailedError,
    MedicError,
    RefusedElsewhereError,
    RefusedError,
    StoppedError,
)
from exporter.model.operation import Outcome
from exporter.remediate.lease_guard import LeaseGuard
from exporter.restate_api import DiscoveryFailedError

_log = structlog.get_logger(__name__)


def outcome_of(error: Exception, guard: LeaseGuard) -> Outcome:
    """How an act ended that did not return: refused, failed, or nobody knows."""
    untouched = isinstance(error, RefusedElsewhereError) or not guard.writes
    if isinstance(error, (RefusedError, StoppedError)) and untouched:
        return Outcome.REFUSED
    if isinstance(error, StoppedError):
        return Outcome.PARTIAL
    if isinstance(error, CallFailedError) and guard.writes and error.outcome_unknown:
        return Outcome.INDETERMINATE
    return Outcome.FAILED


def known_of(error: Exception) -> dict[str, Any]:
    """A refusal's word and data, or what kind of call failed, for whoever reads the row."""
    if isinstance(error, RefusedError):
        return {"reason": error.reason, **error.data}
    call = error if isinstance(error, CallFailedError) else error.__cause__
    if not isinstance(call, CallFailedError):
        return {}
    return {"failure": "discovery" if isinstance(call, DiscoveryFailedError) else str(call.reason)}


def told(error: Exception, **where: str) -> str:
    """One sentence for the row; what nobody foresaw goes to the log with its traceback."""
    if isinstance(error, StoppedError):
        return f"{error.reason}: {error}"
    if isinstance(error, MedicError):
        return str(error)
    _log.error("operation.crashed", exc_info=error, **where)
    return f"internal error: {type(error).__name__}"
