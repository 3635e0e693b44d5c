"""What an error answer of a remote operator API means here: refused, failed, or nobody knows.

The server's side of the same table is ``web.failures``. A code counts whatever its status is; what
comes from in between (a proxy, a login page) has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError, MedicError, RefusedElsewhereError, RefusedError
from exporter.model.operation import Outcome
from exporter.transport import Answer, clean_text
from exporter.wire.operator import Code

_WORD = re.compile(r"[a-z][a-z-]{0,39}")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_MOST_IDS = 100
_NOT_BEGUN: Mapping[str, str] = MappingProxyType(
    {
        Code.DEPLOYMENT_NOT_FOUND: "deployment-not-found",
        Code.OPERATION_IN_FLIGHT: "in-flight",
        Code.PREFLIGHT_REFUSED: "preflight-refused",
        Code.REMEDY_UNSUPPORTED: "remedy-unsupported",
        Code.TARGET_NOT_FOUND: "target-not-found",
        Code.TARGET_AMBIGUOUS: "target-ambiguous",
        Code.BAD_REQUEST: "bad-request",
        Code.PAYLOAD_TOO_LARGE: "bad-request",
        Code.SHUTTING_DOWN: "stopping",
        Code.TOO_MANY_REQUESTS: "throttled",
        Code.UNAUTHORIZED: "unauthorized",
        Code.FORBIDDEN: "unauthorized",
        Code.PERMISSION_REQUIRED: "unauthorized",
    }
)
"""Codes that always mean that nothing was done, and the local word for each."""
_PERHAPS_BEGUN: Mapping[str, str] = MappingProxyType(
    {
        Code.ADMIN_UNREACHABLE: "admin-unreachable",
        Code.DISCOVERY_FAILED: "discovery-failed",
        Code.OPERATION_FAILED: "operation-failed",
    }
)
"""Codes that are also said of an operation that was begun: ``data`` tells."""
_STATUS_WORDS: Mapping[int, str] = MappingProxyType(
    {401: "unauthorized", 403: "unauthorized", 429: "throttled"}
)
_NOTHING_DONE = frozenset({"active-invocation", "already-succeeded", "query-failed"})
"""Of a blocked recovery; any other reason, such as ``purge-failed``, may come half-way."""


class LostOutcomeError(CallFailedError):
    """The other side failed in the middle of a write, or does not say: it may have happened."""

    @property
    def outcome_unknown(self) -> bool:
        """Always, whatever the status says."""
        return True


def reading_failed(answer: Answer) -> CallFailedError:
    """Why a doctor call has no answer."""
    error = answer.failure()
    if error.code == Code.ADMIN_UNREACHABLE:
        return CallFailedError(
            Reason.REPORTED, str(error), http_status=error.http_status, code=error.code
        )
    return error


def writing_failed(answer: Answer) -> MedicError:
    """What became of a write that was answered with an error."""
    error = answer.failure()
    body = _object(answer)
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    told = _told(body, data)
    message, code = str(error), error.code or ""
    if code == Code.WORKFLOW_RETRY_BLOCKED:
        return _blocked(data, message, told)
    if code in _NOT_BEGUN:
        word = _word(data.get("reason")) or _NOT_BEGUN[code]
        override = _word(data.get("allow"))
        return RefusedElsewhereError(word, message, override=override, data=told)
    if code in _PERHAPS_BEGUN:
        return _begun(_PERHAPS_BEGUN[code], data, message, told, error)
    if answer.status < HTTPStatus.BAD_REQUEST or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return lost(error)
    return RefusedElsewhereError(_STATUS_WORDS.get(answer.status, "rejected"), message, data=told)


def _blocked(data: Mapping[str, Any], message: str, told: Mapping[str, Any]) -> MedicError:
    word = _word(data.get("reason")) or "blocked"
    told = {"invocationIds": _ids(data.get("invocationIds")), **told}
    kind = RefusedElsewhereError if word in _NOTHING_DONE else RefusedError
    return kind(word, message, data=told)


def _begun(
    word: str,
    data: Mapping[str, Any],
    message: str,
    told: Mapping[str, Any],
    error: CallFailedError,
) -> MedicError:
    """An operation that was begun has an outcome; ``cause`` is said of what was not begun.

    A platform that says neither may have lost its connection half-way.
    """
    match data.get("outcome"):
        case Outcome.REFUSED:
            return RefusedElsewhereError(word, message, data=told)
        case Outcome.FAILED:
            return RefusedError(word, message, data=told)
        case None if "cause" in data:
            return RefusedElsewhereError(word, message, data=told)
        case _:
            return lost(error)


def lost(error: CallFailedError) -> LostOutcomeError:
    """The same failure of a call, of which nobody knows what it did."""
    return LostOutcomeError(
        error.reason,
        f"whether it was done is not known: {error}",
        http_status=error.http_status,
        retry_after=error.retry_after,
        code=error.code,
    )


def _told(body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What finds the attempt in the other side's own records."""
    found = {
        "remoteRequestId": body.get("requestId"),
        "remoteOperationId": data.get("operationId"),
    }
    return {k: v for k, v in found.items() if isinstance(v, str) and _ID.fullmatch(v)}


def _object(answer: Answer) -> dict[str, Any]:
    try:
        body = answer.json()
    except CallFailedError:
        return {}
    return body if isinstance(body, dict) else {}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _ids(value: object) -> list[str]:
    rows = value if isinstance(value, list) else []
    return [clean_text(row, 100) for row in rows[:_MOST_IDS] if isinstance(row, str)]
