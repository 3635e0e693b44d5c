"""What is said about operations and policies: what was wrong, what was done, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.model.message import Message
from exporter.model.operation import Operation, Outcome, Request
from exporter.model.redact import sanitise

_ENDED = {
    Outcome.VERIFIED: "helped",
    Outcome.UNVERIFIED: "did not show that it helped",
    Outcome.PARTIAL: "was done in part",
    Outcome.FAILED: "failed",
    Outcome.INDETERMINATE: "ended, and nobody knows whether it was done",
    Outcome.INTERRUPTED: "was interrupted",
}
"""The ends that people are told of. Nothing was done in all others: rehearsals, refusals."""
_NOT_KEPT = {
    Outcome.REFUSED: "was approved and is refused",
    Outcome.EXPIRED: "was approved and is not done: nobody began it in time",
    Outcome.WITHDRAWN: "was approved and is not needed any more",
}
"""Of a plan that a person said yes to: who counts on it must hear that it is not done."""
_MOST_VALUES = 12
_VALUE_LENGTH = 300


def about_operation(operation: Operation) -> Message | None:
    """What to say about an operation that has ended; None when nobody waits to hear of it."""
    if operation.outcome is None:
        return None
    word, ended = "Done", _ENDED.get(operation.outcome)
    if ended is None and operation.approved_by is not None:
        word, ended = "Planned", _NOT_KEPT.get(operation.outcome)
    if ended is None:
        return None
    lines = [*_wrong(operation.values), f"{word}: {operation.summary or 'nothing is known'}"]
    if operation.error:
        lines.append(f"Held or failed: {operation.error}")
    return Message(
        kind="operation",
        title=f"{operation.target}: {operation.remedy} {ended}",
        text="\n".join(lines),
        facts=_facts(operation),
    )


def about_proposal(operation: Operation) -> Message:
    """What to say about a plan that waits for a person."""
    until = f"{operation.lease_until:%Y-%m-%d %H:%M:%S} UTC" if operation.lease_until else "soon"
    lines = [
        f"Planned: {operation.summary}",
        f"Until {until}: restate-medic approve {operation.id}, or reject it.",
        *_wrong(operation.values),  # last, where a long text is cut
    ]
    return Message(
        kind="approval",
        title=f"{operation.target}: {operation.remedy} waits for approval",
        text="\n".join(lines),
        facts=_facts(operation),
    )


def about_policy(request: Request, words: str, *, cut: bool) -> Message:
    """What a policy that only tells people says; ``cut`` when it may not name all items."""
    policy = request.policy.name if request.policy else request.actor
    lines = [words] if words else []
    lines += _wrong(request.values)
    if cut:
        lines.append(f"There may be more: a message names {len(request.items)} at most.")
    lines.append("Nothing was done about it.")
    facts = {"target": request.target, "policy": policy}
    if request.items:
        facts["items"] = ", ".join(request.items)
    return Message(
        kind="notice", title=f"{request.target}: {policy}", text="\n".join(lines), facts=facts
    )


def _facts(operation: Operation) -> dict[str, str]:
    facts = {
        "target": operation.target,
        "policy": operation.policy.name if operation.policy else "",
        "outcome": str(operation.outcome or ""),
        "operation": operation.id,
    }
    return {name: value for name, value in facts.items() if value}


def _wrong(values: Mapping[str, Any]) -> Iterable[str]:
    """What the condition saw, a value a line."""
    seen = sanitise(values)
    for name, value in list(seen.items())[:_MOST_VALUES]:
        text = json.dumps(value, ensure_ascii=False, default=str)
        yield f"Seen: {name} = {text if len(text) <= _VALUE_LENGTH else text[:_VALUE_LENGTH] + '…'}"
    if len(seen) > _MOST_VALUES:
        yield f"and {len(seen) - _MOST_VALUES} values more"
