"""The operator recovery API beside doctor: what is sent, what is answered, every error code.

Shared by the server and whoever calls another one. Bodies are strict: an unknown field or a value
of another type is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from exporter.wire.body import Asked

PREFIX = "/api/v2/admin/operator/restate"
LONGEST_REASON = 500
MOST_KILLS = 100
"""How many invocations a forced drain may kill unless the body says another number."""
_URL = r"^([Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]+\S*|arn:\S+)$"
_PLAIN = r"^[a-zA-Z0-9_-]+$"

RedeployOverride = Literal["drop-service", "change-type", "rollback", "foreign"]
RecoverOverride = Literal["unknown-sleeps"]


class Code(StrEnum):
    """Every ``code`` of an error body."""

    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    PERMISSION_REQUIRED = "OFFCHAIN_USER_PERMISSION_REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    """Nothing of this name, or nothing at this path; ``data.kind`` says what was looked for."""
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    TARGET_NOT_FOUND = "TARGET_NOT_FOUND"
    TARGET_AMBIGUOUS = "TARGET_AMBIGUOUS"
    REMEDY_UNSUPPORTED = "REMEDY_UNSUPPORTED"
    DEPLOYMENT_NOT_FOUND = "RESTATE_DEPLOYMENT_NOT_FOUND"
    WORKFLOW_RETRY_BLOCKED = "RESTATE_WORKFLOW_RETRY_BLOCKED"
    """409 when the key is active or has succeeded; 502 when Restate failed (``data.reason``)."""
    OPERATION_IN_FLIGHT = "OPERATION_IN_FLIGHT"
    OPERATION_NOT_WAITING = "OPERATION_NOT_WAITING"
    """A plan that cannot be approved or rejected (any more); ``data.reason`` says why."""
    PREFLIGHT_REFUSED = "PREFLIGHT_REFUSED"
    DISCOVERY_FAILED = "DISCOVERY_FAILED"
    OPERATION_FAILED = "OPERATION_FAILED"
    """It was begun and did not do what was asked; the ledger has what it did."""
    OPERATION_UNVERIFIED = "OPERATION_UNVERIFIED"
    """It was done, and does not show; look again with doctor."""
    ADMIN_UNREACHABLE = "RESTATE_ADMIN_UNREACHABLE"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL = "INTERNAL"


STATUS: Mapping[Code, HTTPStatus] = MappingProxyType(
    {
        Code.BAD_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
        Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
        Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
        Code.PERMISSION_REQUIRED: HTTPStatus.FORBIDDEN,
        Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
        Code.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        Code.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
        Code.TARGET_NOT_FOUND: HTTPStatus.NOT_FOUND,
        Code.TARGET_AMBIGUOUS: HTTPStatus.UNPROCESSABLE_ENTITY,
        Code.REMEDY_UNSUPPORTED: HTTPStatus.UNPROCESSABLE_ENTITY,
        Code.DEPLOYMENT_NOT_FOUND: HTTPStatus.NOT_FOUND,
        Code.WORKFLOW_RETRY_BLOCKED: HTTPStatus.CONFLICT,
        Code.OPERATION_IN_FLIGHT: HTTPStatus.CONFLICT,
        Code.OPERATION_NOT_WAITING: HTTPStatus.CONFLICT,
        Code.PREFLIGHT_REFUSED: HTTPStatus.CONFLICT,
        Code.DISCOVERY_FAILED: HTTPStatus.BAD_GATEWAY,
        Code.OPERATION_FAILED: HTTPStatus.BAD_GATEWAY,
        Code.OPERATION_UNVERIFIED: HTTPStatus.BAD_GATEWAY,
        Code.ADMIN_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        Code.LEDGER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        Code.SHUTTING_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
        Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The HTTP status of each, where the error itself does not say another."""


def _usable(url: str) -> str:
    """Refuse what looks like a URL and is none, such as a port of six digits."""
    if url.startswith("arn:"):
        return url
    mend = "write http://host:port/path, as doctor's serviceUrl"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        msg = f"is not a URL; {mend}"
        raise ValueError(msg)
    return url


ServiceUrl = Annotated[
    str,
    Field(
        pattern=_URL,
        max_length=2048,
        description="As doctor's `deployments.items[].serviceUrl`; of a Lambda function the ARN.",
        examples=["http://ddwf:9080/v1"],
    ),
    AfterValidator(_usable),
]
Why = Annotated[
    str | None,
    Field(max_length=LONGEST_REASON, description="Why, for the ledger; `X-Reason` wins over it."),
]
PlainName = Annotated[str, Field(pattern=_PLAIN)]


class DoctorBody(Asked):
    """Nothing is needed: ``{}``."""

    reason: Why = None


class ForceRedeployBody(Asked):
    """Register the worker at this URL again."""

    service_url: ServiceUrl
    force: bool = True
    allow: Annotated[
        list[RedeployOverride],
        Field(max_length=8, description="What would hurt and is wanted all the same."),
    ] = Field(default=[])
    reason: Why = None


class CleanupBody(Asked):
    """Keep the deployment at this URL; delete those that it replaced."""

    service_url: ServiceUrl
    force_drain: Annotated[
        bool,
        Field(description="Kill what is pinned to dead endpoints. Without it nothing is killed."),
    ] = False
    max_kills: Annotated[
        int,
        Field(ge=1, le=10_000, description="With `forceDrain`: refuse to kill more than this."),
    ] = MOST_KILLS
    reason: Why = None


class RecoverBody(Asked):
    """Free the key of a workflow whose run failed."""

    service_name: PlainName
    service_key: PlainName
    allow: Annotated[
        list[RecoverOverride],
        Field(max_length=8, description="What would hurt and is wanted all the same."),
    ] = Field(default=[])
    reason: Why = None


class Acknowledged(Asked):
    """It was done, and seen to be done."""

    acknowledged: Literal[True] = True


class Redeployed(Acknowledged):
    """The worker is registered."""

    deployment_id: str


class ErrorBody(Asked):
    """Every error of every route. ``message`` is for people, ``code`` and ``data`` for programs."""

    code: Code
    message: str
    data: dict[str, Any]
    request_id: str
