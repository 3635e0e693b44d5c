"""recover-stuck-workflow: free a workflow key whose run failed, so that it can be submitted again.

Purging the failed run clears its state and promises with it (restate-facts, Workflow keys; live).
Nothing is killed here: whatever could be killed is active, and blocks. The run's id is a function
of the key, so a fresh run has the same one: each write is preceded by a read of everything the key
has. ``nothing_to_do``: no failed run and no state of the key is left.

Whether a key is blocked is ``stuck``'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum
from typing import Any

from exporter.model.component import Component
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.items import workflow_key
from exporter.model.operation import ActResult, ItemOutcome, LeftOut, Plan, Request
from exporter.model.report import Report
from exporter.model.views import InvocationsView
from exporter.remedies.batch import PATIENCE, POLL_SECONDS, UnconfirmedError, result_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.stuck import StuckKey, refuse_for_policies, stuck_key
from exporter.remedies.unfinished import UNREADABLE
from exporter.restate_api import Said

NAME = "recover-stuck-workflow"
PURGE_FAILED = "purge-failed"
ACTIVE = "active-invocation"
_SAFE = re.compile(r"[a-zA-Z0-9_-]+")
_Entry = Mapping[str, Any]


class _Key(Enum):
    """What a key has, compared with the failed run that was planned for."""

    NO_RUN = "no run"
    SAME_RUN = "the same run"
    OTHER_RUN = "another run"


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which keys to free. Reads only; what blocks a key refuses it with reason and ids."""
    version = await context.api.admin.version()
    found: list[StuckKey] = []
    left: list[LeftOut] = []
    refusals: list[RefusedError] = []
    for service, key in _wanted(request):
        try:
            stuck = await stuck_key(context, service, key, version=version, allow=request.allow)
            refuse_for_policies(stuck, request)
            found.append(stuck)
        except RefusedError as error:
            refusals.append(error)
            left.append(LeftOut(workflow_key(service, key), error.reason, str(error)))
    if refusals and not found:
        raise refusals[0]
    names = ", ".join(stuck.name for stuck in found[:3]) + (", …" if len(found) > 3 else "")  # noqa: PLR2004 - enough to recognise
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"recover {names}",
        arguments={"keys": [_entry(stuck) for stuck in found], "version": version},
        rests_on={s.name: s.run.item.created_at.isoformat() for s in found if s.run is not None},
        items=tuple(stuck.name for stuck in found),
        before={stuck.name: stuck.told() for stuck in found},
        steps=(
            *(step for stuck in found for step in _steps(stuck)),
            *(f"leave {one.key} alone: {one.detail}" for one in left),
        ),
        allowed=tuple(sorted({word for stuck in found for word in stuck.allowed})),
        left_out=tuple(left),
    )


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Free each key in turn, reading everything it has before each write."""
    outcomes: list[ItemOutcome] = []
    refusals: list[RefusedError] = []
    for entry in plan.arguments["keys"]:
        try:
            outcome = await _recover(context, guard, plan, entry)
        except RefusedError as error:
            refusals.append(error)
            detail = f"{error.reason}: {error}"
            outcome = ItemOutcome(_name(entry), "skipped", detail)
        outcomes.append(outcome)
        await guard.item_done(outcome)
    if refusals and len(refusals) == len(outcomes):
        raise refusals[0]
    result = result_of("recovered", tuple(outcomes))
    word = next((w for w in (PURGE_FAILED, ACTIVE) if outcomes[0].detail.startswith(w)), None)
    if word is None or not (result.failed or result.nothing_to_do):
        return result
    ids = [entry["id"] for entry in plan.arguments["keys"] if entry["id"]]
    return replace(result, after={**result.after, "reason": word, "invocationIds": ids})


async def _recover(
    context: RemedyContext, guard: WriteGuard, plan: Plan, entry: _Entry
) -> ItemOutcome:
    now = await _again(context, plan, entry)
    name, did = now.name, ""
    if now.run is not None:
        if _entry(now) != dict(entry):
            raise RefusedError("changed", f"another run of {name} has failed since")
        failure = await _purge(context, guard, now)
        if failure is not None:
            return failure
        did = f"purged {now.run.item.id}"
        match await _after_purge(context, plan, entry):
            case _Key.SAME_RUN:
                return ItemOutcome(name, "failed", f"the failed run of {name} is still there")
            case _Key.OTHER_RUN:
                return ItemOutcome(name, "recovered", f"{did}; it was submitted again at once")
            case _Key.NO_RUN:
                pass
    left = await _left(context, plan, entry)
    if not left:
        return ItemOutcome(name, "recovered" if did else "skipped", did or "nothing was left of it")
    return await _clear(context, guard, plan, entry, left, did)


async def _clear(  # noqa: PLR0917 - the last step of _recover
    context: RemedyContext,
    guard: WriteGuard,
    plan: Plan,
    entry: _Entry,
    left: tuple[str, ...],
    did: str,
) -> ItemOutcome:
    """Clear the state of a key without a run; a fresh run would lose its own."""
    name = _name(entry)
    if not any(one.startswith("state ") for one in left):
        return ItemOutcome(name, "failed", f"nothing can remove {', '.join(left)} of {name}")
    if await _seen(context, plan, entry) is not _Key.NO_RUN:
        outcome = "recovered" if did else "skipped"
        return ItemOutcome(name, outcome, f"{did or 'nothing'}; it was submitted again meanwhile")
    # Without it the purge would leave a key that has neither run nor clean state.
    await guard.before_write(f"clear the state left of {name}", completes=bool(did))
    try:
        await context.api.lifecycle.clear_state(entry["service"], entry["key"])
    except CallFailedError as error:
        await guard.item_done(ItemOutcome(name, _word(error), str(error)))
        raise
    if left := await _left(context, plan, entry):
        return ItemOutcome(name, "failed", f"{', '.join(left)} of {name} is still there")
    return ItemOutcome(name, "recovered", ", ".join(filter(None, [did, "cleared its state"])))


async def _again(context: RemedyContext, plan: Plan, entry: _Entry) -> StuckKey:
    """The key as it is now; a read that fails must not look like a write that did."""
    try:
        return await stuck_key(
            context,
            entry["service"],
            entry["key"],
            version=plan.arguments["version"],
            allow=frozenset(plan.allowed),
        )
    except CallFailedError as error:
        raise UnconfirmedError(f"{_name(entry)} could not be read again: {error}") from error


async def _purge(context: RemedyContext, guard: WriteGuard, now: StuckKey) -> ItemOutcome | None:
    """Purge the failed run; an outcome when that did not work."""
    assert now.run is not None  # noqa: S101 - the caller asked
    id_ = now.run.item.id
    await guard.before_write(f"purge {id_}, the failed run of {now.name}")
    try:
        answer = await context.api.lifecycle.purge(id_)
    except CallFailedError as error:
        await guard.item_done(ItemOutcome(now.name, _word(error), str(error)))
        if error.outcome_unknown:
            raise
        return ItemOutcome(now.name, "failed", f"{PURGE_FAILED}: {error}")
    if answer.said is Said.CONFLICT:
        return ItemOutcome(now.name, "skipped", f"{ACTIVE}: {answer.message}")
    if answer.ok or answer.said is Said.GONE:
        return None
    return ItemOutcome(now.name, "failed", f"{PURGE_FAILED}: {answer.message}")


async def _seen(context: RemedyContext, plan: Plan, entry: _Entry) -> _Key:
    try:
        now = await _again(context, plan, entry)
    except RefusedError as error:
        if error.reason in {ACTIVE, "already-succeeded"}:
            return _Key.OTHER_RUN
        raise
    if now.run is None:
        return _Key.NO_RUN
    return _Key.SAME_RUN if _entry(now) == dict(entry) else _Key.OTHER_RUN


async def _after_purge(context: RemedyContext, plan: Plan, entry: _Entry) -> _Key:
    """Wait until the failed run is gone, or another one is there."""
    deadline = context.now() + PATIENCE
    while (seen := await _seen(context, plan, entry)) is _Key.SAME_RUN:
        if context.now() >= deadline:
            break
        await context.sleep(POLL_SECONDS)
    return seen


async def _left(context: RemedyContext, plan: Plan, entry: _Entry) -> tuple[str, ...]:
    """What is left of the key, once a purge or a clearing has had a moment to show."""
    deadline = context.now() + PATIENCE / 10
    while True:
        try:
            left = await context.api.lookups.left_of_key(
                entry["service"], entry["key"], version=plan.arguments["version"]
            )
        except CallFailedError as error:
            raise UnconfirmedError(f"what is left of {_name(entry)}: {error}") from error
        if not left or context.now() >= deadline:
            return left
        await context.sleep(POLL_SECONDS)


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """No recovered run is listed as failed any more; a fresh one that failed is another one."""
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return UNREADABLE
    freed = {
        e["id"]: e for e in arguments.get("keys", ()) if _name(e) in after.get("recovered", ())
    }
    for run in view.failed_runs:
        entry = freed.get(run.id)
        if entry is not None and run.created_at.isoformat() == entry["createdAt"]:
            return f"the failed run of {_name(entry)} is still listed"
    return None


def _wanted(request: Request) -> list[tuple[str, str]]:
    """Service and key of each; a person names one."""
    if not request.by_person:
        most = int(request.arguments.get("max_items", 1))
        return [(v["item.service"], v["item.key"]) for v in request.each_item[:most]]
    given = (request.arguments.get("serviceName", ""), request.arguments.get("serviceKey", ""))
    for name, text in zip(("serviceName", "serviceKey"), given, strict=True):
        if not _SAFE.fullmatch(str(text)):
            msg = f"{name} {text!r} must be letters, digits, '-' and '_'"
            raise RefusedError("bad-argument", msg)
    return [(str(given[0]), str(given[1]))]


def _entry(stuck: StuckKey) -> dict[str, Any]:
    """What must still be so right before the write: which run, born when, completed when."""
    run = stuck.run
    return {
        "service": stuck.service,
        "key": stuck.key,
        "id": run.item.id if run else None,
        "createdAt": run.item.created_at.isoformat() if run else None,
        "completedAt": run.completed_at.isoformat() if run and run.completed_at else None,
    }


def _steps(stuck: StuckKey) -> list[str]:
    if stuck.run is None:
        return [f"{stuck.name} has no failed run: clear its state if some is left"]
    return [
        f"purge {stuck.run.item.id}, the failed run of {stuck.name}",
        "clear the key's state if some is left, and no fresh run has begun",
    ]


def _name(entry: _Entry) -> str:
    return workflow_key(entry["service"], entry["key"])


def _word(error: CallFailedError) -> str:
    return "indeterminate" if error.outcome_unknown else "failed"


RECOVER_STUCK_WORKFLOW = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INVOCATIONS}),
)
