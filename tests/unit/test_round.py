"""A whole round on a target in memory: what it reads, shows, records, and what it starts.

The policies are parsed, the ledger and the metrics are real, and so is the web side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exporter.ledger.gateway import Ledger
from exporter.metrics import Exposition, Instruments
from exporter.metrics.negotiation import Format
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.errors import LedgerUnavailableError, RefusedError
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Outcome, Request, Window
from exporter.model.target import Target
from exporter.model.token import Tokens
from exporter.ownership import Ownership
from exporter.policy.cel import compile_condition
from exporter.policy.gates import GATES
from exporter.policy.policy import Policy
from exporter.round import Rounds, Watched
from exporter.surroundings import Surroundings
from exporter.web import ReloadResult, StandingDecision, TargetStatus, WebStatus, build_web, follow
from tests.doors import open_doors
from tests.unit.fakes import (
    PATIENCE_SECONDS,
    FakeTarget,
    Ward,
    by_person,
    by_policy,
    ledger_at,
    locked,
    plan_for,
    until,
)
from tests.unit.policy_scenes import NOW, ONE, TWO, URL, policy, views

EVERYTHING = frozenset(ONE.intervals)
SERVICES = frozenset({Component.SERVICES})
HOUR = timedelta(hours=1)
EACH = {"for_each": "workers"}
EACH_MISSING = "size(item.missing) > 0"


class Daemon:
    """What the daemon holds around its rounds, without a schedule and without a socket."""

    def __init__(self, ward: Ward, *policies: Policy) -> None:
        self.ward = ward
        self.policies = policies or (policy(),)
        self.max_mode = Mode.ENFORCE
        registry = CollectorRegistry()
        self.exposition = Exposition(registry=registry)
        self.instruments = Instruments(registry=registry, exposition=self.exposition, version="1")
        self.in_force: Callable[[Policy | None], bool] = lambda _policy: True
        self.standing: dict[Subject, StandingDecision] = {}
        self.woken: list[frozenset[Component]] = []
        self.ownership = Ownership(
            ledger=ward.ledger,
            owner="here",
            lease=timedelta(seconds=60),
            clock=ward.clock.monotonic,
        )
        self.rounds = Rounds(
            fleet=ward.fleet,
            ledger=ward.ledger,
            remediator=ward.remediator,
            surroundings=Surroundings(
                ledger=ward.ledger,
                remediator=ward.remediator,
                ownership=self.ownership,
                boot=ward.clock.monotonic,
            ),
            instruments=self.instruments,
            now=ward.clock.now,
            wake=lambda _target, components: self.woken.append(components),
            on_decided=self.decided,
        )
        self.configure(ONE)

    def configure(self, target: Target) -> None:
        """Watch this target from now on."""
        remedies = [self.ward.remedy.built()]
        self.ward.target = FakeTarget(self.ward.clock, target, remedies=remedies)
        self.target.shown = views(target, missing=["Counter", "Mailer"])
        self.instruments.configure([target], {}, now=self.ward.clock.now())

    def decided(self, _name: str, decisions: tuple[Decision, ...], at: datetime) -> None:
        self.standing = follow(self.standing, decisions, at)

    async def round(self, due: Iterable[Component] = EVERYTHING, *, settle: bool = True) -> None:
        """One round; then what it started comes to its end, which the round itself never awaits."""
        watched = Watched(
            self.target.backend,
            self.policies,
            self.max_mode,
            (self.target.target,),
            self.in_force,
        )
        with suppress(LedgerUnavailableError):
            await self.ownership.keep()
        await self.rounds.run(watched, due)
        if settle:
            await self.ward.settle()

    def heal(self) -> None:
        self.target.shown = views(self.target.target)

    @property
    def target(self) -> FakeTarget:
        return self.ward.target

    @property
    def decision(self) -> Decision:
        """The only decision there is."""
        (found,) = self.standing.values()
        return found.decision

    def words(self) -> list[tuple[str, str]]:
        """How each subject stands."""
        return [found.decision.standing for found in self.standing.values()]

    def series(self, short: str) -> list[dict[str, str]]:
        """The labels of a family's series that are not 0."""
        page = self.exposition.body(Format.TEXT).decode()
        return [
            sample.labels
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == f"restate_medic_{short}" and sample.value
        ]

    async def recorded(self) -> list[tuple[str | None, str, str]]:
        """Item, result and reason of every recorded change, oldest first."""
        rows = await self.ward.ledger.decisions()
        return [(row.subject.item, row.result, row.reason) for row in reversed(rows)]

    async def shown(self) -> list[dict[str, Any]]:
        """What ``GET /api/v1/decisions`` answers."""
        status = WebStatus(
            now=self.ward.clock.now(),
            ready=True,
            targets=(TargetStatus(self.target.target, self.ward.fleet.report("prod")),),
            decisions=tuple(self.standing.values()),
        )

        async def reload() -> ReloadResult:
            return ReloadResult()

        app = build_web(
            exposition=self.exposition, status=lambda: status, reload=reload, **open_doors()
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://medic") as client:
            answer = await client.get("/api/v1/decisions")
        rows: list[dict[str, Any]] = answer.json()["decisions"]
        return rows


@asynccontextmanager
async def daemon_at(folder: Path, *policies: Policy) -> AsyncIterator[Daemon]:
    async with ledger_at(folder) as ledger:
        daemon = Daemon(Ward(ledger), *policies)
        yield daemon
        await daemon.ward.settle()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """One enforcing policy, one target that misses a service."""
    async with daemon_at(tmp_path) as built:
        yield built


def changes(logs: list[Any]) -> list[tuple[str, str, str]]:
    """Policy, result and reason of the logged changes."""
    return [
        (line["policy"], line["result"], line["reason"])
        for line in logs
        if line["event"] == "decision.changed"
    ]


# The data flow


async def test_a_round_reads_decides_shows_and_repairs(daemon: Daemon) -> None:
    """From the probes to the verified operation, with what each part says on the way."""
    daemon.ward.seen_while_waiting = daemon.heal
    with structlog.testing.capture_logs() as logs:
        await daemon.round()
    assert daemon.target.probed == [EVERYTHING]
    assert daemon.decision.result is Result.ACT
    assert daemon.decision.values == {"services.missing": ["Counter"]}
    row = await daemon.ward.row()
    assert (row.outcome, row.remedy, row.actor) == (
        Outcome.VERIFIED,
        "force-redeploy",
        "policy:p",
    )
    assert row.values == {"services.missing": ["Counter"]}
    assert changes(logs) == [("p", "act", "")]
    assert await daemon.recorded() == [(None, "act", "")]
    assert {"component": "services", "status": "ok", "target": "prod"} in daemon.series(
        "component_status"
    )
    assert daemon.series("decisions_total") == [{"policy": "p", "result": "act", "reason": ""}]


async def test_a_round_does_not_wait_for_its_operation(daemon: Daemon) -> None:
    """Watching goes on while a remedy takes its time, and nothing else is started meanwhile."""
    gate = asyncio.Event()
    daemon.ward.remedy.pause = gate.wait
    async with asyncio.timeout(PATIENCE_SECONDS):
        await daemon.round(settle=False)
        await daemon.round(settle=False)
    assert daemon.words() == [("hold", "in_flight")]
    gate.set()
    await daemon.ward.settle()
    assert daemon.ward.remedy.acts == 1


async def test_what_verifies_is_the_policys_own_condition(daemon: Daemon) -> None:
    """The remedy's check is content at once, but the service is still missing: unverified."""
    await daemon.round()
    row = await daemon.ward.row()
    assert (row.outcome, row.error) == (
        Outcome.UNVERIFIED,
        "the condition that called for it still holds",
    )
    assert row.finished_at is not None
    assert row.acted_at is not None
    assert row.finished_at - row.acted_at >= timedelta(minutes=10), "the policy's verify.within"


async def test_only_what_is_due_is_read(daemon: Daemon) -> None:
    """Beside it stand the newest readings of everything else."""
    await daemon.round()
    await daemon.round({Component.ADMIN})
    assert daemon.target.probed[-1] == {Component.ADMIN}
    assert set(daemon.ward.fleet.report("prod").readings) == EVERYTHING


async def test_a_failing_component_touches_no_other(daemon: Daemon) -> None:
    """It is shown with its reason; what does not need it is decided all the same."""
    daemon.target.failing = {Component.DRIFT: Reason.TIMEOUT}
    await daemon.round()
    assert daemon.series("component_failure") == [
        {"component": "drift", "reason": "timeout", "target": "prod"}
    ]
    assert daemon.ward.remedy.acts == 1


async def test_unauthorized_reads_the_secrets_again(daemon: Daemon) -> None:
    """A token that was rotated works from the next round on; other failures are not about it."""
    daemon.target.failing = {Component.DRIFT: Reason.TIMEOUT}
    await daemon.round()
    assert daemon.target.refreshed == 0
    daemon.target.failing = {Component.ADMIN: Reason.UNAUTHORIZED}
    await daemon.round()
    assert daemon.target.refreshed == 1


async def test_the_expiry_shown_is_that_of_the_token_in_use(daemon: Daemon) -> None:
    """Of the one that was read again because the old one was refused."""
    refused, rotated = NOW, NOW + timedelta(days=1)
    daemon.target.backend = replace(
        daemon.target.backend,
        tokens=lambda: Tokens(admin_expires_at=rotated if daemon.target.refreshed else refused),
    )
    await daemon.round()
    assert _expiry(daemon) == [refused.timestamp()]
    daemon.target.failing = {Component.ADMIN: Reason.UNAUTHORIZED}
    await daemon.round()
    assert _expiry(daemon) == [rotated.timestamp()]


def _expiry(daemon: Daemon) -> list[float]:
    page = daemon.exposition.body(Format.TEXT).decode()
    return [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "restate_medic_admin_token_expiry_timestamp_seconds"
    ]


async def test_only_changes_are_told(tmp_path: Path) -> None:
    """The same hold, round after round, is one line, one count and one record."""
    async with daemon_at(tmp_path, policy(more="for: 2m")) as daemon:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await daemon.round()
                daemon.ward.clock.advance(10)
            daemon.heal()
            await daemon.round()
        assert changes(logs) == [("p", "hold", "pending"), ("p", "clear", "")]
        assert await daemon.recorded() == [(None, "hold", "pending"), (None, "clear", "")]
        (standing,) = daemon.standing.values()
        assert standing.since == daemon.ward.clock.now()


async def test_a_policy_that_begins_clear_is_no_news(daemon: Daemon) -> None:
    """After every start all policies would say so."""
    daemon.heal()
    with structlog.testing.capture_logs() as logs:
        await daemon.round()
    assert changes(logs) == []
    assert await daemon.recorded() == []
    assert daemon.decision.result is Result.CLEAR


async def test_waiting_goes_on_from_round_to_round(tmp_path: Path) -> None:
    """``for`` is over after its time and two readings; then it acts."""
    async with daemon_at(tmp_path, policy(more="for: 30s")) as daemon:
        for seconds, word in (
            (15, ("hold", "pending")),
            (15, ("hold", "pending")),
            (0, ("act", "")),
        ):
            await daemon.round(SERVICES)
            assert daemon.words() == [word]
            daemon.ward.clock.advance(seconds)


async def test_what_was_seen_only_once_is_read_again_in_time(tmp_path: Path) -> None:
    """Once ``for`` is over a second reading is asked for, not earlier and not for ever."""
    async with daemon_at(tmp_path, policy(more="for: 10s")) as daemon:
        await daemon.round()
        daemon.ward.clock.advance(9)
        await daemon.round({Component.ADMIN})
        assert daemon.woken == []
        daemon.ward.clock.advance(1)
        await daemon.round({Component.ADMIN})
        assert daemon.woken == [SERVICES]
        await daemon.round(SERVICES)
        assert daemon.woken == [SERVICES]
        assert daemon.decision.result is Result.ACT


async def test_what_a_removed_target_waited_for_is_forgotten(tmp_path: Path) -> None:
    """If it comes back, waiting begins anew."""
    async with daemon_at(tmp_path, policy(more="for: 10s")) as daemon:
        await daemon.round()
        daemon.rounds.forget("prod")
        daemon.ward.clock.advance(20)
        await daemon.round()
        assert daemon.words() == [("hold", "pending")]


# Items


@pytest.fixture
async def items(tmp_path: Path) -> AsyncIterator[Daemon]:
    """Two workers, both missing services, and a policy that waits for each of them."""
    async with daemon_at(tmp_path, policy(EACH_MISSING, more="for: 10m", **EACH)) as built:
        built.configure(TWO)
        yield built


async def test_an_item_that_is_gone_is_clear(items: Daemon) -> None:
    """Its hold ends in the log, the metric and the ledger although nobody decides on it."""
    await items.round()
    assert len(items.standing) == 2
    items.configure(ONE)
    with structlog.testing.capture_logs() as logs:
        await items.round()
        await items.round()
    assert changes(logs) == [("p", "clear", "")]
    gone = TWO.workers[1].url
    assert (await items.recorded())[-1] == (gone, "clear", "")
    assert [row["result"] for row in items.series("decisions_total")] == ["hold", "clear"]


async def test_an_item_that_goes_while_nobody_looks_is_clear(items: Daemon) -> None:
    """The ledger knows its hold from an earlier run; nobody decides on it any more."""
    await items.round()
    items.rounds.forget("prod")
    items.configure(ONE)
    await items.round()
    gone = TWO.workers[1].url
    assert (await items.recorded())[-1] == (gone, "clear", "")


async def test_items_of_a_list_that_cannot_be_read_are_not_gone(tmp_path: Path) -> None:
    """Unknown is not clear: their holds stand until the list is known again."""
    condition = compile_condition('item.state == "active"', "deployments")
    rule = replace(policy(more="for: 10m"), for_each="deployments", condition=condition)
    async with daemon_at(tmp_path, rule) as daemon:
        await daemon.round()
        daemon.target.failing = {Component.DEPLOYMENTS: Reason.TIMEOUT}
        await daemon.round()
        daemon.target.failing = {}
        await daemon.round()
        assert await daemon.recorded() == [
            ("dp_0", "hold", "pending"),
            (None, "hold", "component_unknown"),
            (None, "clear", ""),
        ]


async def test_a_policy_that_is_gone_is_clear(daemon: Daemon) -> None:
    """After a reload without it, nothing stays held in its name."""
    daemon.policies = (policy(more="for: 2m"),)
    await daemon.round()
    daemon.policies = ()
    await daemon.round()
    assert (await daemon.recorded())[-1] == (None, "clear", "")
    assert daemon.series("policy_held_since_timestamp_seconds") == []


# Starting nothing


async def test_a_stopping_daemon_starts_nothing(daemon: Daemon) -> None:
    """Rounds go on and say what would be done."""
    daemon.rounds.accepting = False
    await daemon.round()
    assert daemon.decision.result is Result.ACT
    assert daemon.ward.remedy.preflights == 0


async def test_what_was_read_for_another_configuration_is_dropped(daemon: Daemon) -> None:
    """Reloaded while it probed: those readings may be of another server."""
    daemon.in_force = lambda _policy: False
    await daemon.round()
    assert daemon.standing == {}
    assert daemon.ward.fleet.names() == frozenset()
    assert daemon.ward.remedy.preflights == 0


async def test_a_policy_that_was_changed_meanwhile_does_not_act(daemon: Daemon) -> None:
    """Between its decision and its first write a reload took it away."""
    daemon.in_force = lambda policy: policy is None
    await daemon.round()
    assert daemon.decision.result is Result.ACT
    assert (daemon.ward.remedy.preflights, daemon.ward.remedy.acts) == (1, 0)


async def test_of_several_only_one_is_started(tmp_path: Path) -> None:
    """The first in file order; the other one waits behind it and says so."""
    async with daemon_at(tmp_path, policy(name="a"), policy(name="b")) as daemon:
        await daemon.round()
        assert daemon.words() == [("act", ""), ("hold", "in_flight")]
        assert (await daemon.ward.row()).actor == "policy:a"


async def test_no_ledger_no_action(daemon: Daemon, tmp_path: Path) -> None:
    """Every decision holds for it, watching goes on, and nothing is even planned."""
    daemon.policies = (policy(name="a"), policy(name="b", mode="observe"))
    with locked(tmp_path):
        await daemon.ward.ledger.refresh()
        with pytest.raises(LedgerUnavailableError):
            await daemon.ward.ledger.sweep(daemon.ward.clock.now())
        with structlog.testing.capture_logs() as logs:
            await daemon.round()
    assert daemon.words() == [("hold", "ledger_unavailable")] * 2
    assert daemon.ward.remedy.preflights == 0
    assert (
        daemon.ward.fleet.report("prod").status(Component.ADMIN, daemon.ward.clock.now())
        is Status.OK
    )
    assert "ledger.unavailable" in {line["event"] for line in logs}
    await daemon.round()
    assert daemon.ward.remedy.acts == 1, "it can be written again"


async def test_a_ledger_that_is_slow_does_not_delay_watching(tmp_path: Path) -> None:
    """The round goes on without it, as if it could not be written; a later one finds it."""
    ledger = Ledger(f"sqlite:///{tmp_path}/medic.db")  # waits for a lock for seconds
    daemon = Daemon(Ward(ledger))
    with locked(tmp_path):
        await daemon.round()
        assert daemon.words() == [("hold", "ledger_unavailable")]
    await until(lambda: ledger.available)
    await daemon.round()
    assert daemon.words() == [("act", "")]
    await ledger.close()


async def test_a_refusal_is_forgotten_when_the_condition_clears(daemon: Daemon) -> None:
    """Then the next failure is somebody else's: its preflight is asked at once."""
    daemon.ward.remedy.refusal = RefusedError("not-latest", "no")
    await daemon.round()
    await daemon.round()
    assert daemon.words() == [("hold", "preflight_refused")]
    assert daemon.ward.remedy.preflights == 1
    daemon.heal()
    await daemon.round()
    daemon.configure(ONE)
    await daemon.round()
    assert daemon.ward.remedy.preflights == 2


async def test_what_limits_still_allow_is_shown_once_a_policy_acted(daemon: Daemon) -> None:
    """Not for policies that never did."""
    daemon.ward.seen_while_waiting = daemon.heal
    await daemon.round()
    assert daemon.series("limit_remaining") == []
    await daemon.round()
    assert daemon.series("limit_remaining") == [
        {"policy": "p", "scope": "target", "target": "prod"}
    ]


# Every reason to hold, seen everywhere alike


Setup = Callable[[Daemon], Awaitable[None]]


async def as_it_is(_daemon: Daemon) -> None:
    """The condition is true from the first round on."""


def failing(component: Component, reason: Reason) -> Setup:
    async def setup(daemon: Daemon) -> None:
        daemon.target.failing = {component: reason}

    return setup


async def refused_before(daemon: Daemon) -> None:
    daemon.ward.remedy.refusal = RefusedError("not-latest", "it would pull traffic back")
    await daemon.round()


async def never_read(daemon: Daemon) -> None:
    daemon.target.backend = replace(daemon.target.backend, probe=_without_services(daemon))


def _without_services(daemon: Daemon) -> Callable[[Iterable[Component]], Awaitable[Any]]:
    async def probe(due: Iterable[Component]) -> Any:
        return await daemon.target.probe(set(due) - SERVICES)

    return probe


async def open_elsewhere(daemon: Daemon) -> None:
    await reserve(daemon, by_policy("another"))


def used(policy_name: str = "p", *, by: str = "policy", **request: Any) -> Setup:
    """An operation like this one was carried out an hour ago."""

    async def setup(daemon: Daemon) -> None:
        made = by_policy(policy_name) if by == "policy" else by_person()
        opened = await reserve(daemon, replace(made, **request))
        await daemon.ward.ledger.finish(
            opened.id, Outcome.FAILED, owner="there", now=daemon.ward.clock.now()
        )
        daemon.ward.clock.advance(HOUR.total_seconds())

    return setup


async def reserve(daemon: Daemon, request: Request) -> Operation:
    return await daemon.ward.ledger.reserve(
        request,
        plan_for(request),
        owner="there",
        lease=9 * HOUR,
        now=daemon.ward.clock.now(),
    )


def limited(scope: str, **changed: str) -> Policy:
    condition = EACH_MISSING if "for_each" in changed else "size(services.missing) > 0"
    limits = f"[{{scope: {scope}, max: 1, per: 24h}}]"
    return policy(condition, limits=limits, **changed)


def limited_globally() -> Policy:
    rule = policy()
    windows = (*rule.budget.windows, Window("global", 1, timedelta(hours=24)))
    return replace(rule, budget=replace(rule.budget, windows=windows))


SURROUNDINGS = frozenset(
    {
        HoldReason.NOT_OWNER,
        HoldReason.PAUSED,
        HoldReason.MANUAL_HOLD,
        HoldReason.CLOCK_SUSPECT,
        HoldReason.IDENTITY_CHANGED,
        HoldReason.BREAKER_OPEN,
        HoldReason.STORM,
        HoldReason.ALERTS_UNKNOWN,
        HoldReason.ALERT_FIRING,
        HoldReason.SILENCED,
        HoldReason.OUTSIDE_WINDOW,
    }
)
"""What is produced in ``test_round_holds``."""
HOLDS: dict[HoldReason, tuple[Policy, Setup]] = {
    HoldReason.MODE_OFF: (policy(mode="off"), as_it_is),
    HoldReason.LEDGER_UNAVAILABLE: (policy(), as_it_is),
    HoldReason.FROZEN: (policy(), failing(Component.INVOCATIONS, Reason.THROTTLED)),
    HoldReason.REPORT_STALE: (policy(), never_read),
    HoldReason.COMPONENT_UNKNOWN: (policy(), failing(Component.SERVICES, Reason.HTTP_STATUS)),
    HoldReason.EXPRESSION_ERROR: (policy('services.missing[5] == "x"'), as_it_is),
    HoldReason.PENDING: (policy(more="for: 2m"), as_it_is),
    HoldReason.IN_FLIGHT: (policy(), open_elsewhere),
    HoldReason.COOLDOWN: (policy(cooldown="2h"), used(by="person")),
    HoldReason.LIMIT_ITEM: (limited("item", **EACH), used("another", items=(URL,))),
    HoldReason.LIMIT_TARGET: (limited("target"), used("another")),
    HoldReason.LIMIT_POLICY: (limited("policy"), used(target="elsewhere")),
    HoldReason.LIMIT_GLOBAL: (limited_globally(), used("another", target="elsewhere")),
    HoldReason.PREFLIGHT_REFUSED: (policy(), refused_before),
    HoldReason.OBSERVING: (policy(mode="observe"), as_it_is),
    HoldReason.AWAITING_APPROVAL: (policy(mode="approve"), as_it_is),
}


def test_every_gate_has_its_scene() -> None:
    """A gate that is added must be seen in a whole round, here or in ``test_round_holds``."""
    gates = {HoldReason(str(gate.__name__)) for gate in GATES}
    assert gates == HOLDS.keys() | SURROUNDINGS


@pytest.mark.parametrize("reason", HOLDS)
async def test_a_hold_is_the_same_word_everywhere(reason: HoldReason, tmp_path: Path) -> None:
    """In the decision, the log, the metrics, the web answer and the ledger's record."""
    rule, setup = HOLDS[reason]
    no_ledger = reason is HoldReason.LEDGER_UNAVAILABLE
    if no_ledger:
        (tmp_path / "medic.db").mkdir()  # no database, and none can be made
    async with daemon_at(tmp_path, rule) as daemon:
        await setup(daemon)
        with structlog.testing.capture_logs() as logs:
            await daemon.round()
        decision = daemon.decision
        assert (decision.result, decision.reason) == (Result.HOLD, reason)
        assert decision.detail
        assert changes(logs)[-1] == ("p", "hold", str(reason))
        held = {"policy": "p", "reason": str(reason), "target": "prod"}
        assert daemon.series("policy_held_since_timestamp_seconds") == [held]
        counted = {"policy": "p", "result": "hold", "reason": str(reason)}
        assert counted in daemon.series("decisions_total")
        (shown,) = await daemon.shown()
        assert (shown["result"], shown["reason"]) == ("hold", str(reason))
        assert next(v["gate"] for v in shown["verdicts"] if v["holds"]) == str(reason)
        if not no_ledger:
            latest = (await daemon.ward.ledger.latest_decisions())[0]
            assert (latest.result, latest.reason, latest.subject) == (
                "hold",
                str(reason),
                decision.subject,
            )
        assert daemon.ward.remedy.written == []
