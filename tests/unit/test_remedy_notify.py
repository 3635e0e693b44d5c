"""The action notify through whole rounds: its row, its lock, its cooldown, what it holds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.decision import Mode, Result
from exporter.model.hold import HoldReason
from exporter.model.message import Delivery, Message, Receipt
from exporter.model.operation import Outcome, Phase, Plan, Request
from exporter.policy.policy import Policy
from exporter.remedies.notify import NOTIFY
from exporter.remedies.remedy import Remedy, RemedyContext
from tests.unit.fakes import ledger_at, until
from tests.unit.policy_scenes import policy
from tests.unit.shift import Shift

LEASE = timedelta(seconds=60)
TELLS = policy(
    name="t",
    action="{notify: {to: [ops, night], message: call the worker's owners}}",
    limits="",
)
HEALS = policy(name="h")


@dataclass
class Post:
    """Takes messages, and answers when it may."""

    fates: dict[str, Delivery] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[tuple[Collection[str] | None, Message]] = field(default_factory=list)

    async def tell(self, names: Collection[str] | None, message: Message) -> tuple[Receipt, ...]:
        self.said.append((names, message))
        await self.open.wait()
        return tuple(
            Receipt(
                name,
                self.fates.get(name, Delivery.DELIVERED),
                "answered 404" if name in self.fates else "",
            )
            for name in names or ()
        )


@pytest.fixture
def post() -> Post:
    made = Post()
    made.open.set()
    return made


@pytest.fixture
async def shift(tmp_path: Path, post: Post) -> AsyncIterator[Shift]:
    async with ledger_at(tmp_path) as ledger:
        yield on(Shift(ledger, (TELLS,)), post)


def on(shift: Shift, post: Post, *rules: Policy, remedy: Remedy = NOTIFY) -> Shift:
    """A shift whose target can tell people."""
    shift.rules = rules or shift.rules
    part = shift.parts["prod"]
    part.tell = post.tell
    remedies = {**part.backend.remedies, "notify": remedy}
    part.backend = replace(part.backend, remedies=remedies)
    return shift


async def test_people_are_told_once_and_the_ledger_has_it(shift: Shift, post: Post) -> None:
    """What is wrong, in the policy's words too, and by which operation it was said."""
    await shift.round()
    (row,) = await shift.ledger.operations()
    assert (row.remedy, row.outcome, row.phase) == ("notify", Outcome.VERIFIED, Phase.CLOSED)
    assert row.after == {"notifiers": {"ops": "delivered", "night": "delivered"}}
    assert row.values == {"services.missing": ["Counter"]}
    ((names, message),) = post.said
    assert names == ["ops", "night"]
    assert message.title == "prod: t"
    assert message.text.splitlines() == [
        "call the worker's owners",
        'Seen: services.missing = ["Counter"]',
        "Nothing was done about it.",
    ]
    assert dict(message.facts) == {"target": "prod", "policy": "t", "operation": row.id}
    (held,) = await shift.round()
    assert held.reason is HoldReason.COOLDOWN
    assert len(post.said) == 1


async def test_it_says_it_again_after_the_cooldown_while_it_is_true(
    shift: Shift, post: Post
) -> None:
    """Not earlier, and not when it is over."""
    await shift.round()
    shift.clock.advance(15 * 60 - 1)
    await shift.round()
    assert len(post.said) == 1
    shift.clock.advance(1)
    await shift.round()
    assert len(post.said) == 2


async def test_its_row_neither_locks_nor_counts(shift: Shift, post: Post) -> None:
    """While it waits for its webhook a repair goes its way, and no budget knows of it."""
    post.open.clear()
    on(shift, post, TELLS, HEALS)
    shift.helps = True
    await shift.round(settle=False)
    await until(lambda: "prod" not in shift.remediator.busy and len(post.said) == 1)
    rows = {row.remedy: row for row in await shift.ledger.operations()}
    assert rows["force-redeploy"].outcome is Outcome.VERIFIED
    assert rows["notify"].open
    await shift.ledger.refresh()
    assert shift.ledger.standing.open_on("prod") is None
    usage = shift.ledger.standing.usage(
        target="prod", remedy="notify", policy="t", items=(), mode=Mode.ENFORCE
    )
    assert (usage.target, usage.policy) == ((), ())
    assert usage.own is not None
    post.open.set()
    assert await shift.remediator.drain(5)
    rows = {row.remedy: row for row in await shift.ledger.operations()}
    assert rows["notify"].outcome is Outcome.VERIFIED


async def test_a_message_on_its_way_holds_only_the_same_policys_next(
    shift: Shift, post: Post
) -> None:
    """Even when the cooldown is over."""
    post.open.clear()
    await shift.round(settle=False)
    await until(lambda: len(post.said) == 1)
    shift.clock.advance(16 * 60)
    (held,) = await shift.round(settle=False)
    assert held.reason is HoldReason.IN_FLIGHT
    other = policy(name="other", action="{notify: {to: [ops]}}", limits="")
    shift.rules = (TELLS, other)
    found = {d.subject.policy: d.result for d in await shift.round(settle=False)}
    assert found == {"t": Result.HOLD, "other": Result.ACT}
    post.open.set()
    assert await shift.remediator.drain(5)


@pytest.mark.parametrize(
    ("fates", "outcome", "error"),
    [
        ({"ops": Delivery.FAILED}, Outcome.PARTIAL, None),
        (
            {"ops": Delivery.FAILED, "night": Delivery.DROPPED},
            Outcome.FAILED,
            "nobody was told: ops: failed: answered 404; night: dropped: answered 404",
        ),
    ],
)
async def test_who_was_not_told_is_in_the_outcome(
    shift: Shift, post: Post, fates: dict[str, Delivery], outcome: Outcome, error: str | None
) -> None:
    """Nothing is called verified that nobody received; and no breaker opens on it."""
    post.fates = fates
    for _ in range(3):
        await shift.round()
        shift.clock.advance(15 * 60)
    rows = await shift.ledger.operations()
    assert [(row.outcome, row.error) for row in rows] == [(outcome, error)] * 3


async def test_a_rehearsal_tells_nobody(shift: Shift, post: Post) -> None:
    """The ledger says what would have been said; rehearsals have their own cooldown."""
    shift.max_mode = Mode.OBSERVE
    await shift.round()
    await shift.round()
    (row,) = await shift.ledger.operations()
    assert row.outcome is Outcome.OBSERVED
    assert "services.missing" in row.arguments["text"]
    assert post.said == []
    shift.max_mode = Mode.ENFORCE
    await shift.round()
    assert len(post.said) == 1


async def test_a_message_whose_sender_died_is_interrupted_not_forgotten(
    shift: Shift, post: Post
) -> None:
    """Its row locks nothing, and is closed all the same once its lease is over."""
    post.open.clear()
    await shift.round(settle=False)
    await until(lambda: len(post.said) == 1)
    (row,) = await shift.ledger.operations()
    assert await shift.ledger.sweep(shift.clock.now()) == ()
    shift.clock.advance(61)
    (swept,) = await shift.ledger.sweep(shift.clock.now())
    assert (swept.id, swept.outcome) == (row.id, Outcome.INTERRUPTED)
    assert await shift.ledger.sweep(shift.clock.now()) == ()
    post.open.set()
    assert await shift.remediator.drain(5)


async def test_a_pause_that_comes_between_stops_it(shift: Shift, post: Post) -> None:
    """What may be said is asked again right before it is said."""

    async def paused_meanwhile(context: RemedyContext, request: Request) -> Plan:
        await shift.ledger.pause(
            "policy", "t", owner="mira", reason="quiet", expires_at=None, now=shift.clock.now()
        )
        return await NOTIFY.preflight(context, request)

    on(shift, post, remedy=replace(NOTIFY, preflight=paused_meanwhile))
    await shift.round()
    (row,) = await shift.ledger.operations()
    assert (row.outcome, post.said) == (Outcome.REFUSED, [])
    assert row.error is not None
    assert "quiet" in row.error
