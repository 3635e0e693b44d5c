"""What the remedies on single invocations share: pick, re-read, write, record, one after the other.

Only the ids decided on are touched, and each is read again (id, birth and status) right before its
write, because an id can come back (restate-facts, Workflow keys). Which invocations a write suits,
and how its effect is seen, is each remedy's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from exporter.model.errors import CallFailedError, MedicError, RefusedError
from exporter.model.items import invocation_key
from exporter.model.operation import ActResult, ItemOutcome, LeftOut, Plan, Request
from exporter.policy.fields import ANY
from exporter.remedies.remedy import RemedyContext, WriteGuard
from exporter.restate_api import Exact, Said, Written

PATIENCE = timedelta(seconds=10)
"""For a write to show."""
POLL_SECONDS = 0.25
_NO_ID = "non valid invocation id"
"""What the query route says of a malformed id, with the status of an SQL error (live)."""
Reads = Callable[[Collection[str]], Awaitable[dict[str, Exact]]]


class UnconfirmedError(MedicError):
    """What has to be known before the next write could not be read: nothing more was written."""


@dataclass(frozen=True, slots=True)
class No:
    """Why an invocation is left alone: the bounded word and a sentence about it."""

    reason: str
    detail: str
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One kind of write to invocations."""

    name: str
    """The remedy's."""
    word: str
    done: str
    """What an item is called afterwards."""
    objections: Callable[[Exact], Iterable[No]]
    """Everything that speaks against the write to the invocation as it is."""
    write: Callable[[RemedyContext, str, Mapping[str, Any]], Awaitable[Written]]
    """Context, id, the plan's arguments."""
    reads: Callable[[RemedyContext], Reads] = field(default=lambda c: c.api.lookups.by_id)
    over: Callable[[Exact | None, Exact], bool] | None = None
    """Whether the write shows: the invocation now, and before. None: its answer says all."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Of what was asked for: what is to be written to, and what is left alone."""

    exact: tuple[Exact, ...]
    left_out: tuple[LeftOut, ...]
    allowed: tuple[str, ...]


def key_of(one: Exact) -> str:
    """The item's key."""
    return invocation_key(one.item.id, one.item.created_at)


async def pick(
    context: RemedyContext,
    request: Request,
    verb: Verb,
    more: Callable[[Exact], Awaitable[No | None]] | None = None,
) -> Picked:
    """Read everything asked for; RefusedError when nothing of it suits."""
    wanted = _wanted(request)
    found = await _found(context, verb, wanted.values())
    good: list[Exact] = []
    left: list[LeftOut] = []
    allowed: set[str] = set()
    first: No | None = None
    for key, id_ in wanted.items():
        one = found.get(id_)
        no = _not_it(one, key)
        if one is not None and no is None:
            no = _not_named(one, request) or _refused(verb, one, request.allow, allowed)
            if no is None and more is not None:
                no = await more(one)
        if no is None and one is not None:
            good.append(one)
        elif no is not None:
            first = first or no
            left.append(LeftOut(key, no.reason, f"{id_}: {no.detail}"))
    if not good:
        reason, detail = (first.reason, left[0].detail) if first else ("no-ids", "name an id")
        others = f" (and {len(left) - 1} others)" if len(left) > 1 else ""
        raise RefusedError(
            reason,
            detail + others,
            override=first.override if first and request.by_person else None,
            data={"invocationIds": list(wanted.values())},
        )
    return Picked(tuple(good), tuple(left), tuple(sorted(allowed)))


async def _found(context: RemedyContext, verb: Verb, ids: Collection[str]) -> dict[str, Exact]:
    try:
        return await verb.reads(context)(ids)
    except CallFailedError as error:
        if _NO_ID not in str(error):
            raise
        msg = f"one of these is no invocation id: {', '.join(ids)}"
        raise RefusedError("malformed-id", msg) from error


def plan_of(
    request: Request, verb: Verb, picked: Picked, arguments: Mapping[str, Any] | None = None
) -> Plan:
    """The plan that writes to what was picked, in that order.

    What a person named and what is left alone stays in the operation, as skipped; a policy's items
    that are left alone are no part of it.
    """
    skip = {left.key: left.detail for left in picked.left_out} if request.by_person else {}
    count = f"{len(picked.exact)} invocation{'' if len(picked.exact) == 1 else 's'}"
    born = {one.item.id: one.item.created_at.isoformat() for one in picked.exact}
    return Plan(
        remedy=verb.name,
        target=request.target,
        summary=f"{verb.word} {count}",
        arguments={"ids": list(born), "skip": skip, **(arguments or {})},
        rests_on={"createdAt": born},
        items=tuple(key_of(one) for one in picked.exact),
        before={one.item.id: _told(one) for one in picked.exact},
        steps=(
            *(f"{verb.word} {one.item.id} ({_place(one)}, {one.status})" for one in picked.exact),
            *(f"leave alone {left.detail}" for left in picked.left_out),
        ),
        allowed=picked.allowed,
        left_out=picked.left_out,
    )


async def act_on_each(
    context: RemedyContext,
    plan: Plan,
    guard: WriteGuard,
    verb: Verb,
    after_first: Callable[[Exact], Awaitable[str | None]] | None = None,
) -> ActResult:
    """Write to each in turn; then wait a little for what takes its time.

    ``after_first`` looks at the first one that was written to, also when it is alone: a sentence
    means that it did not help, and nothing more is written.
    """
    outcomes: dict[str, ItemOutcome] = {}
    written: dict[str, Exact] = {}
    stop: str | None = None
    for key in plan.items:
        if stop is not None:
            outcomes[key] = ItemOutcome(key, "skipped", "not tried: the first one did not help")
        else:
            before, outcomes[key] = await _one(context, plan, guard, verb, key)
            if before is not None and outcomes[key].done:
                written[key] = before
                if after_first and len(written) == 1:
                    stop = await _watch(after_first, before)
                    if stop is not None:
                        outcomes[key] = ItemOutcome(key, "failed", stop)
        await guard.item_done(outcomes[key])
    outcomes |= {k: ItemOutcome(k, "skipped", why) for k, why in plan.arguments["skip"].items()}
    outcomes |= await _settle(context, verb, written)
    return result_of(verb.done, tuple(outcomes.values()))


def result_of(done: str, outcomes: tuple[ItemOutcome, ...], **after: Any) -> ActResult:  # noqa: ANN401 - JSON
    """What the outcomes of all items make together."""
    good = {o.key: o.detail for o in outcomes if o.done}
    bad = [o for o in outcomes if o.outcome in {"failed", "indeterminate"}]
    return ActResult(
        after={
            done: good,
            "skipped": {o.key: o.detail for o in outcomes if o.outcome == "skipped"},
            "failed": {o.key: o.detail for o in bad},
            **after,
        },
        items=outcomes,
        nothing_to_do=not good and not bad,
        partial=0 < len(good) < len(outcomes),
        failed=bad[0].detail if bad and not good else "",
    )


def _wanted(request: Request) -> dict[str, str]:
    """Ids by item key; a person names ids alone and means what has them now."""
    if request.by_person:
        return {str(id_): str(id_) for id_ in request.arguments.get("ids", ())}
    most = int(request.arguments["max_items"])
    return {key: _id_of(key) for key in request.items[:most]}


def _id_of(key: str) -> str:
    return key.partition("@")[0]


def _not_it(one: Exact | None, key: str) -> No | None:
    if one is None:
        return No("gone", "there is no such invocation")
    if key not in {one.item.id, key_of(one)}:
        return No("changed", "another invocation has this id now")
    return None


def _refused(verb: Verb, one: Exact, allow: frozenset[str], allowed: set[str]) -> No | None:
    """The first objection that nobody has overridden; the words that were needed are added."""
    for no in verb.objections(one):
        if no.override is None or no.override not in allow:
            return no
        allowed.add(no.override)
    return None


def _not_named(one: Exact, request: Request) -> No | None:
    named = request.arguments.get("service", (ANY,))
    if request.by_person or named == (ANY,) or one.item.service in named:
        return None
    return No("other-service", f"it is {one.item.service}'s, which the policy does not name")


async def _one(
    context: RemedyContext, plan: Plan, guard: WriteGuard, verb: Verb, key: str
) -> tuple[Exact | None, ItemOutcome]:
    """Read it again and write to it; a read that fails must not look like a write that did."""
    id_ = _id_of(key)
    try:
        one = (await verb.reads(context)([id_])).get(id_)
    except CallFailedError as error:
        raise UnconfirmedError(f"{id_} could not be read again: {error}") from error
    no = _not_it(one, key)
    if one is not None and no is None:
        no = _refused(verb, one, frozenset(plan.allowed), set())
    if no is not None:
        return one, ItemOutcome(key, "skipped", no.detail)
    await guard.before_write(f"{verb.word} {id_}")
    try:
        answer = await verb.write(context, id_, plan.arguments)
    except CallFailedError as error:
        word = "indeterminate" if error.outcome_unknown else "failed"
        await guard.item_done(ItemOutcome(key, word, str(error)))
        raise
    if answer.ok:
        return one, ItemOutcome(key, verb.done, answer.new_id or "")
    changed = answer.said in {Said.GONE, Said.CONFLICT, Said.TOO_EARLY}
    return one, ItemOutcome(key, "skipped" if changed else "failed", answer.message)


async def _watch(look: Callable[[Exact], Awaitable[str | None]], before: Exact) -> str | None:
    try:
        return await look(before)
    except CallFailedError as error:
        return f"{before.item.id} could not be read after its write: {error}"


async def _settle(
    context: RemedyContext, verb: Verb, written: dict[str, Exact]
) -> dict[str, ItemOutcome]:
    """Wait until each write shows; what does not show in time failed."""
    waiting = dict(written) if verb.over is not None else {}
    now: dict[str, Exact] = {}
    deadline = context.now() + PATIENCE
    while waiting and verb.over is not None:
        try:
            now = await verb.reads(context)([one.item.id for one in waiting.values()])
        except CallFailedError as error:
            detail = f"accepted, but not seen to be {verb.done}: {error}"
            return {key: ItemOutcome(key, "indeterminate", detail) for key in waiting}
        waiting = {
            key: one for key, one in waiting.items() if not verb.over(now.get(one.item.id), one)
        }
        if context.now() >= deadline:
            break
        if waiting:
            await context.sleep(POLL_SECONDS)
    return {
        key: ItemOutcome(
            key, "failed", f"{one.item.id} was told, and is still {now[one.item.id].status}"
        )
        for key, one in waiting.items()
    }


def _place(one: Exact) -> str:
    item = one.item
    return "/".join(part for part in (item.service, item.key, item.handler) if part)


def _told(one: Exact) -> dict[str, Any]:
    """What is kept of an invocation as it was before."""
    item = one.item
    told = {
        "target": _place(one),
        "status": one.status,
        "deployment": item.deployment_id,
        "modifiedAt": item.modified_at.isoformat(),
        "errorCode": item.error_code,
        "error": item.error or one.failure,
    }
    return {name: value for name, value in told.items() if value}
