"""From what went wrong to the operator API's code, status and data: one table, every row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exporter.model.component import Reason
from exporter.model.decision import Mode
from exporter.model.errors import (
    CallFailedError,
    InFlightError,
    LeaseLostError,
    LedgerUnavailableError,
    LimitReachedError,
    MedicError,
    RefusedError,
)
from exporter.model.operation import Operation, Outcome, Phase
from exporter.people import STOPPING
from exporter.restate_api import DiscoveryFailedError
from exporter.web.api.failures import failure_of, failure_of_operation
from exporter.wire.operator import STATUS, Code
from tests.benchmarks.synthetic import START

RECOVER, REDEPLOY = "recover-stuck-workflow", "force-redeploy"
IDS = {"invocationIds": ["inv_1"]}
NOT_REACHED = ("dns", "refused", "timeout", "tls", "reset", "protocol", "unauthorized", "throttled")
ANSWERED_WRONGLY = ("http_status", "bad_body", "too_large", "query_failed", "internal")


def failed(reason: str) -> CallFailedError:
    return CallFailedError(Reason(reason), "http://u:p4ssw0rd@h/ said no")


@pytest.mark.parametrize(
    ("error", "code", "status", "data"),
    [
        (
            RefusedError("deployment-not-found", "no"),
            "RESTATE_DEPLOYMENT_NOT_FOUND",
            404,
            {"reason": "deployment-not-found"},
        ),
        (
            RefusedError("active-invocation", "no", data=IDS),
            "RESTATE_WORKFLOW_RETRY_BLOCKED",
            409,
            {"reason": "active-invocation", **IDS},
        ),
        (
            RefusedError("already-succeeded", "no", data=IDS),
            "RESTATE_WORKFLOW_RETRY_BLOCKED",
            409,
            {"reason": "already-succeeded", **IDS},
        ),
        (
            RefusedError("remedy-unsupported", "no"),
            "REMEDY_UNSUPPORTED",
            422,
            {"reason": "remedy-unsupported"},
        ),
        (
            RefusedError("drop-service", "no", override="drop-service"),
            "PREFLIGHT_REFUSED",
            409,
            {"reason": "drop-service", "allow": "drop-service"},
        ),
        (
            RefusedError("unfired-sleep", "no", data=IDS),
            "PREFLIGHT_REFUSED",
            409,
            {"reason": "unfired-sleep", **IDS},
        ),
        (RefusedError(STOPPING, "no"), "SHUTTING_DOWN", 503, {"reason": "stopping"}),
        (
            InFlightError("busy", operation_id="op_1"),
            "OPERATION_IN_FLIGHT",
            409,
            {"operationId": "op_1"},
        ),
        (LedgerUnavailableError("locked"), "LEDGER_UNAVAILABLE", 503, {}),
        (LeaseLostError("lost"), "OPERATION_FAILED", 502, {"outcome": "interrupted"}),
        (LimitReachedError("cooldown", "no"), "PREFLIGHT_REFUSED", 409, {"reason": "refused"}),
        (
            DiscoveryFailedError(Reason.HTTP_STATUS, "no", code="META0003"),
            "DISCOVERY_FAILED",
            502,
            {"cause": "http_status", "restateCode": "META0003"},
        ),
        *(
            (failed(reason), "RESTATE_ADMIN_UNREACHABLE", 503, {"cause": reason})
            for reason in (*NOT_REACHED, *ANSWERED_WRONGLY)
        ),
    ],
)
def test_what_was_not_begun(
    error: MedicError, code: str, status: int, data: dict[str, Any]
) -> None:
    """Each error of a redeploy or cleanup, with the data that the API documents."""
    found = failure_of(error, REDEPLOY)
    assert (found.code, found.http_status, dict(found.data)) == (code, status, data)
    assert "p4ssw0rd" not in found.message


@pytest.mark.parametrize("reason", [*NOT_REACHED, *ANSWERED_WRONGLY])
def test_a_key_that_could_not_be_looked_up(reason: str) -> None:
    """Transport is the admin's trouble; an answer that is wrong is query-failed."""
    for found in (
        failure_of(failed(reason), RECOVER),
        failure_of_operation(closed(Outcome.FAILED, {"failure": reason}, remedy=RECOVER)),
    ):
        assert found is not None
        if reason in NOT_REACHED:
            assert (found.code, found.http_status) == (Code.ADMIN_UNREACHABLE, 503)
        else:
            assert (found.code, found.http_status) == (Code.WORKFLOW_RETRY_BLOCKED, 502)
            assert (found.data["reason"], found.data["invocationIds"]) == ("query-failed", [])


def test_how_long_to_wait_is_passed_on() -> None:
    """Restate's own Retry-After, and ours when the daemon stops."""
    wait = timedelta(seconds=7)
    throttled = CallFailedError(Reason.THROTTLED, "slow", retry_after=wait)
    assert failure_of(throttled, REDEPLOY).retry_after == wait
    assert failure_of(RefusedError(STOPPING, "no"), REDEPLOY).retry_after


def closed(outcome: Outcome, after: dict[str, Any], *, remedy: str = REDEPLOY) -> Operation:
    return Operation(
        id="op_1",
        target="prod",
        remedy=remedy,
        source="api",
        actor="ops",
        mode=Mode.ENFORCE,
        phase=Phase.CLOSED,
        created_at=START,
        arguments={},
        after=after,
        outcome=outcome,
    )


@pytest.mark.parametrize("outcome", [Outcome.VERIFIED, Outcome.PARTIAL, Outcome.NOTHING_TO_DO])
def test_what_was_done_is_no_failure(outcome: Outcome) -> None:
    """Leaving some deployments alone does not change the answer, as the reference says."""
    assert failure_of_operation(closed(outcome, {"deploymentId": "dp_1"})) is None


@pytest.mark.parametrize(
    ("outcome", "after", "code", "status"),
    [
        (Outcome.UNVERIFIED, {"deploymentId": "dp_1"}, "OPERATION_UNVERIFIED", 502),
        (Outcome.INDETERMINATE, {}, "RESTATE_ADMIN_UNREACHABLE", 503),
        (Outcome.FAILED, {}, "OPERATION_FAILED", 502),
        (Outcome.FAILED, {"failure": "discovery"}, "DISCOVERY_FAILED", 502),
        (Outcome.FAILED, {"failure": "refused"}, "RESTATE_ADMIN_UNREACHABLE", 503),
        (Outcome.FAILED, {"failure": "http_status"}, "OPERATION_FAILED", 502),
        (
            Outcome.FAILED,
            {"reason": "purge-failed", **IDS},
            "RESTATE_WORKFLOW_RETRY_BLOCKED",
            502,
        ),
        (Outcome.REFUSED, {"reason": "changed"}, "PREFLIGHT_REFUSED", 409),
        (
            Outcome.REFUSED,
            {"reason": "active-invocation", **IDS},
            "RESTATE_WORKFLOW_RETRY_BLOCKED",
            409,
        ),
        (
            Outcome.NOTHING_TO_DO,
            {"reason": "active-invocation", **IDS},
            "RESTATE_WORKFLOW_RETRY_BLOCKED",
            409,
        ),
        (Outcome.INTERRUPTED, {}, "OPERATION_FAILED", 502),
    ],
)
def test_what_was_begun_and_did_not_succeed(
    outcome: Outcome, after: dict[str, Any], code: str, status: int
) -> None:
    """The row of the operation tells; nothing is acknowledged that was not seen to be done."""
    found = failure_of_operation(closed(outcome, after))
    assert found is not None
    assert (found.code, found.http_status) == (code, status)
    expected: dict[str, Any] = {k: v for k, v in after.items() if k in {"reason", *IDS}}
    assert dict(found.data) == (expected or {"operationId": "op_1", "outcome": str(outcome)})


def test_every_code_has_a_status() -> None:
    """None is forgotten in the table."""
    assert set(STATUS) == set(Code)
