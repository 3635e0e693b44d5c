"""Requests, plans and moments for the ledger's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from exporter.model.decision import Mode
from exporter.model.operation import Budget, Plan, PolicyRef, Request, Window

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
REMEDY = "force-redeploy"
ROOMY = Budget(timedelta(0), (Window("target", 1_000, timedelta(hours=1)),))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def by_policy(
    target: str = "prod",
    *,
    policy: str = "heal",
    remedy: str = REMEDY,
    items: tuple[str, ...] = (),
    budget: Budget = ROOMY,
    mode: Mode = Mode.ENFORCE,
) -> Request:
    return Request(
        target=target,
        remedy=remedy,
        arguments={"url": "http://w:9080/"},
        source="policy",
        actor=f"policy:{policy}",
        mode=mode,
        policy=PolicyRef(policy, "abc123"),
        items=items,
        values={"services.missing": ["Greeter"]},
        budget=budget,
    )


def by_person(target: str = "prod", *, remedy: str = REMEDY, actor: str = "mira") -> Request:
    return Request(
        target=target,
        remedy=remedy,
        arguments={"url": "http://w:9080/"},
        source="cli",
        actor=actor,
        reason="rollout",
    )


def plan_for(request: Request) -> Plan:
    return Plan(
        remedy=request.remedy,
        target=request.target,
        summary=f"{request.remedy} on {request.target}",
        arguments=request.arguments,
        items=request.items,
        before={"deployments": 1},
    )
