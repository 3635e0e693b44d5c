"""Rows of the queries over Restate's introspection tables. A null column is left out of its row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime

from exporter.restate_api.bodies import AnyServiceType, Body, PathSafe

Row = TypeVar("Row", bound=Body)


def _in_utc(moment: datetime) -> datetime:
    """SQL's ``now()`` comes without a zone (live 1.6.2 and 1.7.12); it is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class Rows(Body, Generic[Row]):
    """``POST /query``; a column that is null is left out of its row."""

    rows: list[Row]


class CountRow(Body):
    """A number for a name."""

    name: str
    n: int


class GroupRow(Body):
    """One group of the scan over ``sys_invocation_status``."""

    pinned_deployment_id: str | None = None
    target_service_name: str
    target_service_ty: AnyServiceType
    status: str
    completion_result: str | None = None
    n: int
    oldest_created: AwareDatetime
    oldest_modified: AwareDatetime
    failures_24h: int = 0


class InvocationRow(Body):
    """One invocation of ``sys_invocation_status``."""

    id: PathSafe
    target_service_name: str
    target_service_ty: AnyServiceType
    target_service_key: str | None = None
    target_handler_name: str
    status: str
    pinned_deployment_id: str | None = None
    created_at: AwareDatetime
    modified_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    failure: str = ""


class ExactRow(InvocationRow):
    """One invocation, with how it ended, or when it begins."""

    completion_result: str | None = None
    scheduled_start_at: AwareDatetime | None = None


class StateRow(Body):
    """One invocation of ``sys_invocation_state``: what its current leader knows of its attempts."""

    id: PathSafe
    in_flight: bool = False
    retry_count: int = 0
    last_failure_error_code: str = ""
    failure: str = ""


class StateTotals(Body):
    """How many invocations retry, and how many of them because of RT0016."""

    n: int
    mismatched: int | None = None


class KeyCountRow(Body):
    """A number for a workflow key."""

    service: str
    key: str
    n: int


class PausedEventRow(Body):
    """The newest ``Paused`` event of an invocation, cut to a bounded head and tail."""

    id: PathSafe
    head: str
    tail: str
    size: int


class PausedFailure(Body):
    """Why an invocation was failing when it was paused."""

    error_message: str = ""
    restate_doc_error_code: str | None = None


class PausedEvent(Body):
    """The JSON of a ``Paused`` event. What never failed has no ``last_failure``."""

    last_failure: PausedFailure | None = None


class AttemptRow(Body):
    """The attempts of one invocation, of ``sys_invocation_state``."""

    id: PathSafe
    failed: bool = False
    in_flight: bool = False
    retry_count: int = 0
    last_failure_error_code: str = ""
    failure: str = ""
    next_retry_at: AwareDatetime | None = None


class KeyRow(Body):
    """The name of one state or promise of a key."""

    key: str


class SleepRow(Body):
    """One entry of a journal that sleeps, or its first one, beside the server's own time."""

    position: int
    entry_type: str
    entry_lite_json: str | None = None
    sleep_wakeup_at: AwareDatetime | None = None
    now: Annotated[datetime, AfterValidator(_in_utc)]
