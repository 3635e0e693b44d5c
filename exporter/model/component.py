"""The parts of a target's health, how each can be, and the bounded words for why.

These words are promises: they are metric labels, CEL values, ledger fields and page text alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Component(StrEnum):
    """One part of a target's health. The first five are those of the operator recovery API."""

    INGRESS = "ingress"
    ADMIN = "admin"
    DEPLOYMENTS = "deployments"
    SERVICES = "services"
    INVOCATIONS = "invocations"
    DRIFT = "drift"
    HEARTBEAT = "heartbeat"
    NODE = "node"


RECOVERY_API_COMPONENTS = (
    Component.INGRESS,
    Component.ADMIN,
    Component.DEPLOYMENTS,
    Component.SERVICES,
    Component.INVOCATIONS,
)
"""The five a doctor call answers with, in the documented order."""


class Status(StrEnum):
    """How a component is. ``unknown`` (no fresh reading) and ``off`` (not probed) stay internal."""

    OK = "ok"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    OFF = "off"


WORST_FIRST = (Status.UNREACHABLE, Status.DEGRADED, Status.UNKNOWN, Status.OK, Status.OFF)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; ``off`` when there is none."""
    return min(statuses, key=WORST_FIRST.index, default=Status.OFF)


class Reason(StrEnum):
    """Why a reading is not ok. Bounded, so that it can be a metric label."""

    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    RESET = "reset"
    PROTOCOL = "protocol"
    UNAUTHORIZED = "unauthorized"
    HTTP_STATUS = "http_status"
    BAD_BODY = "bad_body"
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    QUERY_FAILED = "query_failed"
    INTERNAL = "internal"
    NOT_REGISTERED = "not_registered"
    """The heartbeat's service or handler is not registered."""
    LATE = "late"
    """The heartbeat's invocation is not done in time, or was not."""
    FAILED = "failed"
    """The heartbeat's invocation ended in a failure."""
    BLOCKED = "blocked"
    """The node says that it cannot run some of its partitions."""
    REPORTED = "reported"
    """A remote operator API says that it is not ok, in its own words."""

    @property
    def status(self) -> Status:
        """``unreachable`` when nothing answered, ``degraded`` when the answer was wrong."""
        return Status.UNREACHABLE if self in _NO_ANSWER else Status.DEGRADED


_NO_ANSWER = frozenset(
    {Reason.DNS, Reason.REFUSED, Reason.TIMEOUT, Reason.TLS, Reason.RESET, Reason.PROTOCOL}
)
