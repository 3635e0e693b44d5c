"""Operations on several items: what is left out waits by itself, and what failed is said so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.model.component import Component
from exporter.model.decision import Subject
from exporter.model.errors import RefusedError
from exporter.model.findings import Findings
from exporter.model.operation import (
    ActResult,
    ItemOutcome,
    LeftOut,
    Outcome,
    Plan,
    Request,
)
from exporter.remediate.verification import Verification
from exporter.remedies.remedy import Remedy, RemedyContext
from tests.unit.fakes import REMEDY, Ward, by_person, by_policy, ledger_at, plan_for


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with ledger_at(tmp_path) as ledger:
        yield Ward(ledger)


SUBJECT = Subject("heal", "prod", "a")


async def test_items_that_the_plan_leaves_out_wait_and_the_others_do_not(ward: Ward) -> None:
    """Each with its own reason; they are no part of the operation."""
    built = ward.remedy.built()

    async def preflight(_context: RemedyContext, request: Request) -> Plan:
        left = (LeftOut("b", "not-paused", "it is running"),)
        return replace(plan_for(request), items=("a", "c"), left_out=left)

    remedy: Remedy = replace(built, preflight=preflight)
    backend = replace(ward.target.backend, remedies={REMEDY: remedy})
    request = replace(by_policy(), items=("a", "b", "c"))
    ward.remediator.submit(SUBJECT, request, backend, Verification())
    await ward.settle()
    refusals = ward.remediator.refusals.current()
    assert {s.item: r.reason for s, r in refusals.items()} == {"b": "not-paused"}
    assert (await ward.row()).items == ("a", "c")


async def test_a_refused_batch_makes_each_of_its_items_wait(ward: Ward) -> None:
    """Nobody asks again at once, whichever item comes first then."""
    ward.remedy.refusal = RefusedError("endpoint-dead", "nobody answers")
    request = replace(by_policy(), items=("a", "b"))
    ward.remediator.submit(SUBJECT, request, ward.target.backend, Verification())
    await ward.settle()
    assert {s.item for s in ward.remediator.refusals.current()} == {"a", "b"}


async def test_an_act_that_ends_without_success_is_failed_with_what_is_known(ward: Ward) -> None:
    """The row keeps what came out of it."""
    after = {"reason": "purge-failed", "invocationIds": ["inv_1"]}
    ward.remedy.result = ActResult(after=after, failed="purge-failed: no")
    closed = await ward.remediator.perform(by_person(), ward.target.backend, Verification())
    assert (closed.outcome, closed.error) == (Outcome.FAILED, "purge-failed: no")
    assert closed.after == after
    assert ward.remedy.checked == []


async def test_a_refusal_at_the_last_look_keeps_its_word_and_ids(ward: Ward) -> None:
    """An API can answer with the same reason as before the plan."""
    data = {"invocationIds": ["inv_1"]}
    ward.remedy.failure = RefusedError("active-invocation", "it runs again", data=data)
    closed = await ward.remediator.perform(by_person(), ward.target.backend, Verification())
    assert closed.outcome is Outcome.REFUSED
    assert closed.after == {"reason": "active-invocation", **data}


async def test_verification_is_about_what_was_acted_on(ward: Ward) -> None:
    """An item that was skipped may be as wrong as before."""
    asked: set[str] = set()

    def wrong(_found: Findings, key: str) -> bool:
        asked.add(key)
        return key == "b"

    items = (ItemOutcome("a", "resumed"), ItemOutcome("b", "skipped"), ItemOutcome("c", "failed"))
    ward.remedy.result = ActResult(items=items, partial=True)
    verification = Verification(
        components=frozenset({Component.SERVICES}),
        still_wrong=lambda _found: True,
        item_wrong=wrong,
    )
    closed = await ward.remediator.perform(by_person(), ward.target.backend, verification)
    assert (closed.outcome, asked) == (Outcome.PARTIAL, {"a"})
