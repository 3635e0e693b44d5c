"""recover-stuck-workflow through a remote operator API: one request for each key.

Whether a key is blocked only the other side can tell. A policy's key is asked for only while the
failure that it was decided on is still listed as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

from exporter.model.component import Component
from exporter.model.errors import (
    CallFailedError,
    MedicError,
    RefusedElsewhereError,
    RefusedError,
)
from exporter.model.items import workflow_key
from exporter.model.operation import ActResult, ItemOutcome, LeftOut, Plan, Request
from exporter.model.report import Report
from exporter.model.views import InvocationSummary, RecentFailure, cause_of
from exporter.operator_api import Acknowledgement
from exporter.policy.fields import ANY
from exporter.remedies.batch import UnconfirmedError, result_of
from exporter.remedies.remedy import Remedy, WriteGuard
from exporter.remedies.remote.context import RemoteContext, invocations, told_after, why_of
from exporter.remedies.unfinished import UNREADABLE
from exporter.wire.operator import RecoverOverride

NAME = "recover-stuck-workflow"
_SAFE = re.compile(r"[a-zA-Z0-9_-]+")
"""All that the API takes for a service or a key (reference, Recover stuck workflow)."""
_Entry = Mapping[str, Any]


async def preflight(context: RemoteContext, request: Request) -> Plan:
    """Plan which keys to ask for. Reads only; a person's key need not be listed."""
    summary = await invocations(context)
    entries: list[_Entry] = []
    left: list[LeftOut] = []
    refusals: list[RefusedError] = []
    for service, key, id_ in _wanted(request):
        try:
            entries.append(_entry(service, key, id_, summary, request))
        except RefusedError as error:
            refusals.append(error)
            left.append(LeftOut(workflow_key(service, key), error.reason, str(error)))
    if refusals and not entries:
        raise refusals[0]
    names = [_name(entry) for entry in entries]
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")  # noqa: PLR2004 - enough to recognise
    where = context.api.base_url
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"ask {where} to recover {shown}",
        arguments={"keys": entries, "why": why_of(request)},
        rests_on={_name(e): e["failedAt"] for e in entries if e["failedAt"]},
        items=tuple(names),
        before={_name(e): {"run": e["id"], "failedAt": e["failedAt"]} for e in entries},
        steps=(
            *(f"ask {where} to purge the failed run of {n}, unless it is blocked" for n in names),
            *(f"leave {one.key} alone: {one.detail}" for one in left),
        ),
        allowed=tuple(sorted(request.allow & set(get_args(RecoverOverride)))),
        left_out=tuple(left),
    )


async def act(context: RemoteContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Ask for each key in turn, looking again before each. What was refused leaves no trace."""
    outcomes: list[ItemOutcome] = []
    refusals: list[RefusedError] = []
    told: dict[str, Any] = {}
    why: dict[str, Any] = {}
    for entry in plan.arguments["keys"]:
        try:
            await _look_again(context, guard, entry)
            answer = await _ask(context, plan, guard, entry)
            outcome = ItemOutcome(_name(entry), "recovered", answer.unverified or "acknowledged")
            told |= told_after(answer)
        except _HalfWayError as error:
            why = {"reason": error.refusal.reason, **error.refusal.data}
            outcome = ItemOutcome(_name(entry), "failed", f"{why['reason']}: {error.refusal}")
        except RefusedError as error:
            refusals.append(error)
            outcome = ItemOutcome(_name(entry), "skipped", f"{error.reason}: {error}")
        outcomes.append(outcome)
        await guard.item_done(outcome)
    if refusals and len(refusals) == len(outcomes):
        raise next((e for e in refusals if isinstance(e, RefusedElsewhereError)), refusals[0])
    result = result_of("recovered", tuple(outcomes))
    return replace(result, after={**result.after, **(why if result.failed else told)})


class _HalfWayError(MedicError):
    """The other side began, and failed: something of it may be done."""

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


async def _look_again(context: RemoteContext, guard: WriteGuard, entry: _Entry) -> None:
    """The failure must still be listed as it was; of an unlisted one nothing is known."""
    if entry["failedAt"] is not None:
        try:
            summary = await invocations(context)
        except CallFailedError as error:
            raise UnconfirmedError(f"{_name(entry)} could not be read again: {error}") from error
        if _listed(entry, summary) is None:
            msg = f"the failed run of {_name(entry)} is not listed any more, or is another one"
            raise RefusedError("changed", msg)
    await guard.before_write(f"ask {context.api.base_url} to recover {_name(entry)}")


async def _ask(
    context: RemoteContext, plan: Plan, guard: WriteGuard, entry: _Entry
) -> Acknowledgement:
    try:
        return await context.api.recover(
            entry["service"], entry["key"], allow=plan.allowed, why=plan.arguments["why"]
        )
    except RefusedElsewhereError:
        raise
    except RefusedError as error:
        raise _HalfWayError(error) from error
    except CallFailedError as error:
        word = "indeterminate" if error.outcome_unknown else "failed"
        await guard.item_done(ItemOutcome(_name(entry), word, str(error)))
        raise


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """No recovered failure is listed any more, nor pushed out of the list by newer ones."""
    view = report.view(Component.INVOCATIONS, InvocationSummary, now)
    if view is None:
        return UNREADABLE
    for entry in arguments.get("keys", ()):
        if entry["failedAt"] is None or _name(entry) not in after.get("recovered", ()):
            continue
        if _listed(entry, view) is not None:
            return f"the failed run of {_name(entry)} is still listed"
        if view.hides(datetime.fromisoformat(entry["failedAt"])):
            return f"newer failures hide whether the failed run of {_name(entry)} is gone"
    return None


def _wanted(request: Request) -> Iterator[tuple[str, str, str | None]]:
    """Service, key and failed run of each; a person names one key and no run."""
    if request.by_person:
        given = request.arguments
        yield str(given.get("serviceName", "")), str(given.get("serviceKey", "")), None
        return
    for values in request.each_item[: int(request.arguments.get("max_items", 1))]:
        yield values["item.service"], values["item.key"], values["item.invocation_id"]


def _entry(
    service: str, key: str, id_: str | None, summary: InvocationSummary, request: Request
) -> _Entry:
    for name, text in (("serviceName", service), ("serviceKey", key)):
        if not _SAFE.fullmatch(text):
            msg = f"{name} {text!r} must be letters, digits, '-' and '_'"
            raise RefusedError("bad-argument", msg)
    failures = [f for f in summary.recent_failures if (f.service, f.key) == (service, key)]
    if id_ is None:
        failure = failures[0] if len(failures) == 1 else None
    else:
        failure = _refuse_for_policies(
            workflow_key(service, key), next((f for f in failures if f.id == id_), None), request
        )
    return {
        "service": service,
        "key": key,
        "id": failure.id if failure else None,
        "failedAt": failure.failed_at.isoformat() if failure else None,
    }


def _refuse_for_policies(
    name: str, failure: RecentFailure | None, request: Request
) -> RecentFailure:
    """The failure it was decided on, if it is still there and the policy names its like."""
    if failure is None:
        raise RefusedError("gone", f"the failed run of {name} is not listed any more")
    named, causes = request.arguments["service"], request.arguments.get("causes", ["error"])
    if named != (ANY,) and failure.service not in named:
        raise RefusedError("other-service", f"the policy does not name {failure.service}")
    cause = cause_of(failure.error)
    if cause not in causes:
        raise RefusedError("other-cause", f"{name} was {cause}, which the policy leaves alone")
    return failure


def _listed(entry: _Entry, summary: InvocationSummary) -> RecentFailure | None:
    same = (entry["id"], entry["failedAt"])
    rows = summary.recent_failures
    return next((f for f in rows if (f.id, f.failed_at.isoformat()) == same), None)


def _name(entry: _Entry) -> str:
    return workflow_key(entry["service"], entry["key"])


REMOTE_RECOVER = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INVOCATIONS}),
)
