"""notify: tell people, and touch nothing.

Verified means that every notifier took the message; what they do with it nobody knows. How long a
notifier that does not answer is tried is ``notify``'s affair; until then the operation is open,
which holds up nothing but the same policy's next message about the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exporter.model.message import Delivery, Message
from exporter.model.operation import ActResult, ItemOutcome, Plan, Request
from exporter.model.report import Report
from exporter.notify.about import about_policy
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard

NAME = "notify"


async def preflight(_context: RemedyContext, request: Request) -> Plan:
    """Plan what to say, and to whom. Reads nothing."""
    given = request.arguments
    cut = len(request.items) >= int(given.get("max_items", len(request.items) + 1))
    message = about_policy(request, str(given.get("message", "")), cut=cut)
    names = given.get("to")
    who = "every notifier" if names is None else ", ".join(names)
    return Plan(
        remedy=NAME,
        target=request.target,
        summary=f"tell {who}: {message.title}",
        arguments={
            "to": None if names is None else list(names),
            "title": message.title,
            "text": message.text,
            "facts": dict(message.facts),
        },
        items=request.items,
        steps=(f"tell {who}",),
    )


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Hand the message over, and wait for what becomes of it."""
    said = plan.arguments
    await guard.before_write(plan.steps[0])
    message = Message(
        kind="notice",
        title=said["title"],
        text=said["text"],
        facts={**said["facts"], "operation": guard.operation_id},
    )
    receipts = await context.tell(said["to"], message)
    told = [r for r in receipts if r.delivery is Delivery.DELIVERED]
    why = "; ".join(f"{r.notifier}: {r}" for r in receipts) or "there is no notifier"
    return ActResult(
        after={"notifiers": {r.notifier: str(r) for r in receipts}},
        items=tuple(ItemOutcome(key, "told") for key in plan.items),
        partial=len(told) < len(receipts),
        failed="" if told else f"nobody was told: {why}",
    )


def check(
    _arguments: Mapping[str, Any], _after: Mapping[str, Any], _report: Report, _now: datetime
) -> str | None:
    """Nothing to see: who took the message has said so."""
    return None


NOTIFY = Remedy(name=NAME, preflight=preflight, act=act, check=check, components=frozenset())
