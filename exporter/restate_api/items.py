"""How rows of the introspection tables become facts about invocations.

What live 1.6.2 and 1.7.12 add to the manual: ``retry_count`` counts starts, so it is 1 for a first
attempt that runs fine; and an invocation that was backing off when a *person* paused it keeps its
row in ``sys_invocation_state`` until the partition's leader changes, while one whose retries are
exhausted loses it. After such a change the two look alike, and count as exhausted.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from pydantic import ValidationError

from exporter.model.views import (
    InvocationGroup,
    InvocationItem,
    RecentFailure,
    Result,
    cause_of,
)
from exporter.restate_api.rows import (
    ExactRow,
    GroupRow,
    InvocationRow,
    PausedEvent,
    PausedEventRow,
    PausedFailure,
    StateRow,
)
from exporter.transport import clean_text

EVENT_HEAD = 4000
EVENT_TAIL = 200
"""How many characters of both ends of an event's JSON are read; stack traces can be long."""
_FAILURE = "failure"
_MESSAGE = re.compile(r'"error_message":"((?:[^"\\]|\\.)*)')
_CODE = re.compile(r'"restate_doc_error_code":"([A-Z0-9]+)"\}*$')


def group(row: GroupRow) -> InvocationGroup:
    """One group of the scan."""
    return InvocationGroup(
        deployment_id=row.pinned_deployment_id,
        service=row.target_service_name,
        service_type=row.target_service_ty,
        status=row.status,
        result=row.completion_result,
        count=row.n,
        oldest_created_at=row.oldest_created,
        oldest_modified_at=row.oldest_modified,
    )


def item(row: InvocationRow) -> InvocationItem:
    """One invocation, without what only other tables know."""
    return InvocationItem(
        id=row.id,
        service=row.target_service_name,
        service_type=row.target_service_ty,
        key=row.target_service_key,
        handler=row.target_handler_name,
        deployment_id=row.pinned_deployment_id,
        created_at=row.created_at,
        modified_at=row.modified_at,
    )


def completed_item(row: ExactRow) -> InvocationItem:
    """One invocation that has completed, with how; what never was a failure succeeded."""
    result: Result = cause_of(row.failure) if row.completion_result == _FAILURE else "success"
    return replace(item(row), result=result, error=clean_text(row.failure))


def retrying_item(row: InvocationRow, state: StateRow) -> InvocationItem:
    """One invocation whose last attempt failed; an attempt that is running has not failed yet."""
    return replace(
        item(row),
        retries=max(0, state.retry_count - int(state.in_flight)),
        error_code=state.last_failure_error_code,
        error=clean_text(state.failure),
    )


def paused_item(
    one: InvocationItem, event: PausedEventRow | None, state: StateRow | None
) -> InvocationItem:
    """One paused invocation, with what its newest ``Paused`` event says.

    A person paused what had no failure, or is still remembered as retrying; see above.
    """
    if event is None:
        return one
    failure = _last_failure(event)
    return replace(
        one,
        retries=state.retry_count if state else 0,
        error_code=(failure.restate_doc_error_code or "") if failure else "",
        error=clean_text(failure.error_message) if failure else "",
        paused_by="manual" if failure is None or state is not None else "retries",
    )


def _last_failure(event: PausedEventRow) -> PausedFailure | None:
    """Read the event; of one that was cut (a long stack trace) what its two ends tell."""
    if event.size <= EVENT_HEAD:
        try:
            return PausedEvent.model_validate_json(event.head).last_failure
        except ValidationError:
            return PausedFailure(error_message=event.head)
    code, message = _CODE.search(event.tail), _MESSAGE.search(event.head)
    return PausedFailure(
        error_message=_unescaped(message[1]) if message else "",
        restate_doc_error_code=code[1] if code else None,
    )


def _unescaped(inside: str) -> str:
    try:
        return str(json.loads(f'"{inside}"'))
    except ValueError:
        return inside


def recent_failure(row: InvocationRow) -> RecentFailure:
    """One entry of the doctor's list."""
    return RecentFailure(
        id=row.id,
        service=row.target_service_name,
        key=row.target_service_key,
        failed_at=row.modified_at,
        error=clean_text(row.failure),
    )
