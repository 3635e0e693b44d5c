"""Routes that read what is so now, from memory: targets, policies, decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query

from exporter.ledger.texts import item_key
from exporter.model.decision import Subject
from exporter.policy.words import no_such
from exporter.web.api.filters import DecisionFilters, Name, PolicyFilters, TargetFilters
from exporter.web.api.listing import known, one, paged
from exporter.web.api.policy_bodies import policy_body
from exporter.web.api.reading import reading
from exporter.web.status import TargetStatus, WebStatus
from exporter.wire.decisions import DecisionsAnswer, decision_body
from exporter.wire.operator import Code
from exporter.wire.paging import Key
from exporter.wire.policies import PoliciesAnswer, PolicyBody
from exporter.wire.targets import (
    TargetBody,
    TargetDetail,
    TargetsAnswer,
    overall,
    target_body,
    target_detail,
)


def present_routes(status: Callable[[], WebStatus]) -> APIRouter:
    """All of them. Lists are in the order of their names, which is what cursors go by."""
    router = APIRouter(prefix="/api/v1", tags=["read"])

    @reading(router, "/targets", Code.BAD_REQUEST)
    async def targets(asked: Annotated[TargetFilters, Query()]) -> TargetsAnswer:
        """The configured targets: how each is, component by component."""
        now = status()
        rows = (
            row
            for row in now.targets
            if asked.kind in {None, row.target.kind}
            and asked.status in {None, overall(row.target, row.report, now.now)}
        )
        shown, cursor = paged("targets", rows, asked, lambda row: (row.target.name,))
        return TargetsAnswer(targets=tuple(short(row, now) for row in shown), next_cursor=cursor)

    @reading(router, "/targets/{name}", Code.TARGET_NOT_FOUND, Code.BAD_REQUEST)
    async def target(name: Name) -> TargetDetail:
        """One target with everything that is known of it."""
        now = status()
        row = one("target", name, now.targets, lambda row: row.target.name)
        return in_full(row, now)

    @reading(router, "/policies", Code.BAD_REQUEST)
    async def policies(asked: Annotated[PolicyFilters, Query()]) -> PoliciesAnswer:
        """The policies in force."""
        now = status()
        known("target", asked.target, (row.target.name for row in now.targets))
        rows = (
            body
            for body in _policies(now)
            if (asked.target is None or asked.target in body.targets)
            and asked.remedy in {None, body.remedy}
            and asked.mode in {None, body.mode}
        )
        shown, cursor = paged("policies", rows, asked, lambda body: (body.name,))
        return PoliciesAnswer(policies=shown, next_cursor=cursor)

    @reading(router, "/policies/{name}", Code.NOT_FOUND, Code.BAD_REQUEST)
    async def policy(name: Name) -> PolicyBody:
        """One policy."""
        return one("policy", name, _policies(status()), lambda body: body.name)

    @reading(router, "/decisions", Code.BAD_REQUEST)
    async def decisions(asked: Annotated[DecisionFilters, Query()]) -> DecisionsAnswer:
        """What every policy wants to do now, and what holds it."""
        now = status()
        _check_names(now, asked)
        rows = (
            standing
            for standing in now.decisions
            if asked.target in {None, standing.decision.subject.target}
            and asked.policy in {None, standing.decision.subject.policy}
            and asked.remedy in {None, standing.decision.remedy}
            and asked.result in {None, standing.decision.result}
            and asked.reason in {None, standing.decision.reason}
            and asked.mode in {None, standing.decision.mode}
        )
        shown, cursor = paged(
            "decisions", rows, asked, lambda row: subject_key(row.decision.subject)
        )
        bodies = tuple(decision_body(s.decision, s.since) for s in shown)
        return DecisionsAnswer(decisions=bodies, next_cursor=cursor)

    return router


def short(row: TargetStatus, now: WebStatus) -> TargetBody:
    """A target as lists show it."""
    operation = now.operations.get(row.target.name)
    return target_body(row.target, row.report, now=now.now, operation=operation)


def in_full(row: TargetStatus, now: WebStatus) -> TargetDetail:
    """A target by itself."""
    operation = now.operations.get(row.target.name)
    return target_detail(row.target, row.report, now=now.now, operation=operation)


def check_policy(now: WebStatus, name: str) -> None:
    """NotFoundError unless it is a policy in force, or one that was just decided by."""
    names = {p.name for p in now.policies} | {s.decision.subject.policy for s in now.decisions}
    if name not in names:
        raise no_such("policy", name, names)


def check_target(now: WebStatus, name: str) -> None:
    """NotFoundError unless it is a configured target."""
    names = {row.target.name for row in now.targets}
    if name not in names:
        raise no_such("target", name, names)


def _check_names(now: WebStatus, asked: DecisionFilters) -> None:
    subjects = [standing.decision.subject for standing in now.decisions]
    targets = {row.target.name for row in now.targets}
    known("target", asked.target, targets | {s.target for s in subjects})
    known("policy", asked.policy, {p.name for p in now.policies} | {s.policy for s in subjects})


def _policies(now: WebStatus) -> tuple[PolicyBody, ...]:
    targets = [row.target for row in now.targets]
    return tuple(policy_body(p, targets, max_mode=now.max_mode) for p in now.policies)


def subject_key(subject: Subject) -> Key:
    """The place of what a decision is about in lists."""
    item = "" if subject.item is None else item_key(subject.item)  # a cursor tells no secret
    return subject.target, subject.policy, item
