"""The last links: what became of the work of a key, or of what is stuck and newest of a service."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from exporter.model.component import Component
from exporter.model.items import exclusive
from exporter.model.redact import redact_text
from exporter.model.views import InvocationsView, cause_of
from exporter.model.work import Call
from exporter.why.facts import Facts
from exporter.why.verdict import Link, LinkState

_QUEUED = ("inboxed", "scheduled")
_RECOVERABLE = re.compile(r"[a-zA-Z0-9_-]+")
"""Keys that ``recover`` takes, as the operator API does."""
_UNKNOWN_DEPLOYMENT, _JOURNAL_MISMATCH = "RT0011", "RT0016"
_AT_ONCE = 5
_ERROR = 200
_TRACEBACK = " Traceback (most recent call last)"
_INVOCATION, _WORK = "invocation", "work"


def work_links(facts: Facts) -> Iterator[Link]:
    """Yield what the invocations say; lazily."""
    if facts.work is None:
        yield Link(_WORK, LinkState.UNKNOWN, facts.work_error or "invocations were not read")
        return
    if facts.key is not None:
        yield from _of_key(facts)
    else:
        yield from _of_service(facts)


def _of_key(facts: Facts) -> Iterator[Link]:
    calls = _calls(facts)
    holding = [c for c in calls if exclusive(c.item, facts.findings.services)]
    others = [c for c in calls if c not in holding]
    head = next((c for c in holding if c.active and c.status not in _QUEUED), None)
    queue = sorted((c for c in holding if c.status == "inboxed"), key=lambda c: c.item.created_at)
    if queue:
        yield _queued(facts, head, queue)
    if head is not None:
        yield _state_of(facts, head, others)
    stuck = [c for c in others if _troubled(c)]
    for call in stuck:
        yield _state_of(facts, call, others)
    if head is not None or queue:
        return
    asking = _newest(c for c in others if c.active and c not in stuck)
    if asking is not None:
        yield _state_of(facts, asking, others)
    newest = _newest(holding)
    yield _nothing(facts) if newest is None else _state_of(facts, newest, others)


def _queued(facts: Facts, head: Call | None, queue: list[Call]) -> Link:
    """What waits for the key, and for whom."""
    name, last = "queue", queue[-1].item.id
    at_least = "" if facts.work and facts.work.complete else "at least "
    more = f" and {at_least}{len(queue) - 1} more wait" if len(queue) > 1 else " waits"
    if head is None:
        says = f"{last}{more} for the key; what holds it was not seen"
        return Link(name, LinkState.UNKNOWN, says, "Look again:", facts.again)
    says = f"{last}{more} behind {head.item.id}"
    if head.status == "suspended" and _lost(facts, head) is None:
        advice = f"It ends when {head.item.id} does, which {_rest(facts, head)}. To end that one:"
        command = ("invocations", "cancel", head.item.id)
        return Link(name, LinkState.BROKEN, says, advice, command)
    return Link(name, LinkState.WAITING, says)


def _of_service(facts: Facts) -> Iterator[Link]:
    calls = _calls(facts)
    yield _counted(facts)
    stuck = sorted((c for c in calls if _troubled(c)), key=_severity)
    paused = [c for c in stuck if c.status == "paused"]
    for call in stuck[:1]:
        yield _state_of(facts, call, calls, like=paused)
    newest = _newest(calls)
    if newest is None:
        yield _nothing(facts)
    else:
        yield _state_of(facts, newest, calls)


def _counted(facts: Facts) -> Link:
    """How much unfinished work there is: by the doctor's scan."""
    scan = facts.findings.invocations
    if not isinstance(scan, InvocationsView):
        return Link(_WORK, LinkState.UNKNOWN, facts.failure(Component.INVOCATIONS))
    counts = Counter[str]()
    for group in scan.groups:
        if group.active and group.service == facts.service:
            counts[group.status] += group.count
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return Link(_WORK, LinkState.OK, said or "nothing unfinished")


def _state_of(
    facts: Facts, call: Call, others: Iterable[Call], *, like: Iterable[Call] = ()
) -> Link:
    """One invocation; ``like`` are others that the same command may mend."""
    if call.active and (lost := _lost(facts, call)) is not None:
        return lost
    if call.status == "paused":
        return _paused(facts, call, like)
    if call.failing:
        return _failing(facts, call)
    if not call.active:
        return _completed(facts, call, others)
    says = f"{_named(facts, call)} {_rest(facts, call)}"
    look = call.status == "inboxed" and facts.key is None and call.item.key
    command = ("why", facts.service, call.item.key or "") if look else ()
    return Link(_INVOCATION, LinkState.WAITING, says, "", command)


def _lost(facts: Facts, call: Call) -> Link | None:
    """Pinned to a deployment that is gone, or whose endpoint is dead; None when it is not."""
    id_, pin = call.item.id, call.item.deployment_id
    if pin is None:
        return None  # it goes wherever its service is next time
    known = facts.findings.deployments is not None
    if (_troubled(call) and call.item.error_code == _UNKNOWN_DEPLOYMENT) or (
        known and facts.deployment(pin) is None
    ):
        says = f"{_named(facts, call)} is {_word(call)}, and its deployment {pin} is gone"
        if call.status == "paused":
            advice = f"Let it go on with the latest deployment of {facts.service}:"
            how = ("--deployment", "latest", *_insisting(call))
            return _broken(says, advice, ("invocations", "resume", id_, *how))
        return _broken(says, "Nothing can run it any more. End it:", ("invocations", "kill", id_))
    found = facts.discovery(pin)
    if found is None or found.reachable != "no":
        return None
    says = f"{_named(facts, call)} is {_word(call)} and needs {redact_text(found.url)}"
    says = f"{says}, which does not answer: {found.error}"
    advice = "Start that worker again, as it was. Then look again:"
    return _broken(says, advice, facts.again)


def _paused(facts: Facts, call: Call, like: Iterable[Call]) -> Link:
    item = call.item
    who = {"retries": "after its last retry", "manual": "by a person"}.get(
        item.paused_by, "by whom is not known"
    )
    says = f"{_named(facts, call)} was paused {facts.ago(item.modified_at)}, {who}{_because(call)}"
    resume = ("invocations", "resume", item.id)
    if item.error_code == _JOURNAL_MISMATCH:
        advice = "Its journal does not fit the code: roll that back to what it began with. Then:"
        return _broken(says, advice, (*resume, *_insisting(call)))
    if item.paused_by != "retries":
        advice = "Whoever did that had a reason. If it is over:"
        return _broken(says, advice, (*resume, *_insisting(call)))
    alike = [
        c for c in like if (c.item.paused_by, c.item.error_code) == ("retries", item.error_code)
    ]
    more = [c.item.id for c in alike if c.item.id != item.id and _lost(facts, c) is None]
    advice = "It never goes on by itself. Once the cause is mended:"
    if more:
        says += f" (and {len(more)} more)"
    return _broken(says, advice, (*resume, *more[: _AT_ONCE - 1]))


def _insisting(call: Call) -> tuple[str, ...]:
    """With which words a resume of it is not refused."""
    words = {_UNKNOWN_DEPLOYMENT: "zombie", _JOURNAL_MISMATCH: "journal-mismatch"}
    found = [words.get(call.item.error_code, "")]
    found += [] if call.item.paused_by == "retries" else ["paused-by-person"]
    return tuple(part for word in found if word for part in ("--allow", word))


def _failing(facts: Facts, call: Call) -> Link:
    item = call.item
    times = f"{item.retries} time{'' if item.retries == 1 else 's'}"
    says = f"{_named(facts, call)} failed {times} and is {_word(call)}{_because(call)}"
    if call.next_retry_at is not None and not call.in_flight:
        says += f"; next attempt {facts.ahead(call.next_retry_at)}"
    advice = (
        "Mend what the error says; it is tried again by itself, or given up with"
        f" invocations cancel {item.id}. To look again:"
    )
    return _broken(says, advice, facts.again)


def _completed(facts: Facts, call: Call, others: Iterable[Call]) -> Link:
    item, named = call.item, _named(facts, call)
    if call.result != "failure":
        again = "; submitting the key again runs nothing" if item.service_type == "workflow" else ""
        says = f"{named} succeeded {facts.ago(item.modified_at)}{again}"
        return Link(_INVOCATION, LinkState.OK, says)
    cause = cause_of(call.failure)
    ended = "failed" if cause == "error" else f"was {cause}"
    says = f"{named} {ended} {facts.ago(item.modified_at)}"
    says += f": {_short(call.failure)}" if cause == "error" else ""
    if item.service_type == "workflow" and exclusive(item, facts.findings.services):
        return _failed_run(facts, call, says, others)
    if cause != "error":
        return Link(_INVOCATION, LinkState.OK, says)
    advice = "It ended, and is not tried again. To run it again from its start:"
    return _broken(says, advice, ("invocations", "restart", item.id))


def _failed_run(facts: Facts, call: Call, says: str, others: Iterable[Call]) -> Link:
    """A workflow's run that failed holds its key until it is recovered."""
    item, key = call.item, call.item.key or ""
    siblings = [c.item.id for c in others if c.active and c.item.key == item.key]
    if siblings:
        advice = f"The key can be freed once {siblings[0]} has ended, which waits for the run:"
        return _broken(says, advice, ("invocations", "cancel", *siblings[:_AT_ONCE]))
    if not _RECOVERABLE.fullmatch(key):
        advice = "It holds its key. Forget the run, then submit the key again:"
        return _broken(says, advice, ("invocations", "purge", item.id))
    advice = "It holds its key. Free the key, then submit it again:"
    if call.sleeps_until is not None:
        advice = (
            f"A timer of it fires at {facts.ahead(call.sleeps_until)}; before Restate 1.8 the key"
            " can be freed only after that:"
        )
    insist = ("--allow", "unknown-sleeps") if call.journal_kept is False else ()
    return _broken(says, advice, ("recover", item.service, key, *insist))


def _nothing(facts: Facts) -> Link:
    what = facts.service if facts.key is None else f"{facts.service}/{facts.key}"
    says = f"{what} was never submitted, or is remembered no longer"
    advice = "Nothing in Restate stands in its way: look at what should have submitted it."
    return Link(_INVOCATION, LinkState.NOTHING, says, advice)


def _rest(facts: Facts, call: Call) -> str:
    """What an invocation does that is as it should be."""
    match call.status:
        case "scheduled" if call.starts_at is not None:
            return f"is scheduled for {facts.ahead(call.starts_at)}"
        case "suspended" if call.sleeps_until is not None:
            return f"is suspended; its last timer fires at {facts.ahead(call.sleeps_until)}"
        case "suspended":
            since = facts.ago(call.item.modified_at)
            return f"is suspended since {since}: it waits for a promise, a call or an awakeable"
        case "inboxed":
            return f"waits for its key {call.item.key or ''}".rstrip()
        case "invoked":
            return f"is running, begun {facts.ago(call.item.created_at)}"
        case other:
            return f"is {other} since {facts.ago(call.item.modified_at)}"


def _word(call: Call) -> str:
    if call.status == "paused":
        return "paused"
    if call.failing:
        return "trying again" if call.in_flight else "backing off"
    return call.status


def _named(facts: Facts, call: Call) -> str:
    """The id, and the key where several are looked at."""
    key = call.item.key
    return call.item.id if facts.key is not None or not key else f"{call.item.id} (key {key})"


def _because(call: Call) -> str:
    code = f"{call.item.error_code} " if call.item.error_code else ""
    return f": {code}{_short(call.item.error)}" if call.item.error or code else ""


def _short(text: str) -> str:
    """An error as it fits: stack traces are for the worker's log."""
    text = redact_text(" ".join(text.split()).partition(_TRACEBACK)[0])
    return text if len(text) <= _ERROR else f"{text[: _ERROR - 1]}…"


def _troubled(call: Call) -> bool:
    return call.status == "paused" or (call.active and call.failing)


def _severity(call: Call) -> tuple[bool, float]:
    """What never goes on by itself first; among equals what waits longest."""
    return call.status != "paused", call.item.modified_at.timestamp()


def _newest(calls: Iterable[Call]) -> Call | None:
    return max(calls, key=lambda c: c.item.created_at, default=None)


def _calls(facts: Facts) -> tuple[Call, ...]:
    return facts.work.calls if facts.work is not None else ()


def _broken(says: str, advice: str, command: tuple[str, ...]) -> Link:
    return Link(_INVOCATION, LinkState.BROKEN, says, advice, command)
