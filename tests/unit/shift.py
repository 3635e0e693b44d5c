"""Whole rounds over a real ledger and fake targets, and all the places where a hold is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exporter.fleet import Fleet
from exporter.history.recorder import Recorder
from exporter.ledger.gateway import Ledger
from exporter.metrics import Exposition, Instruments
from exporter.metrics.negotiation import Format
from exporter.model.component import Component
from exporter.model.decision import Decision, Mode
from exporter.model.operation import Operation, Request
from exporter.model.target import Target
from exporter.ownership import Ownership
from exporter.policy.alarms import Alarms
from exporter.policy.policy import Policy
from exporter.remediate.remediator import Remediator
from exporter.remediate.verification import Verifier
from exporter.round import Rounds, Watched
from exporter.surroundings import Surroundings
from exporter.web import ReloadResult, TargetStatus, WebStatus, build_web, follow
from tests.doors import open_doors
from tests.unit.fakes import Clock, FakeRemedy, FakeTarget
from tests.unit.policy_scenes import ONE, views


@dataclass(frozen=True)
class Sightings:
    """The words by which one subject's hold is known in each place."""

    decision: str | None
    log: str | None
    metric: str | None
    web: str | None
    ledger: str | None

    @property
    def all(self) -> set[str | None]:
        return {self.decision, self.log, self.metric, self.web, self.ledger}


@dataclass
class Shift:
    """One daemon's rounds, without process and schedule. ``targets`` are broken at first."""

    ledger: Ledger
    rules: tuple[Policy, ...]
    targets: tuple[Target, ...] = (ONE,)
    clock: Clock = field(default_factory=Clock)
    owner: str = "here:1:abc"
    max_mode: Mode = Mode.ENFORCE
    remedy: FakeRemedy = field(default_factory=FakeRemedy)
    lease: timedelta = timedelta(seconds=60)
    """Of the targets; an operation's is a minute."""
    keeps: bool = True
    """Whether it renews its lease on the targets before each round."""
    helps: bool = True
    """Whether what is read after an operation is well again."""
    alarms: Alarms | None = None
    """What Alertmanager told; None when there is none."""
    recorder: Recorder | None = None
    """Who keeps history of the rounds, if anybody."""
    decided: dict[str, tuple[Decision, ...]] = field(default_factory=dict)
    closed: list[tuple[Operation, Request | None]] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet()
        registry = CollectorRegistry()
        self.exposition = Exposition(registry=registry)
        self.instruments = Instruments(registry=registry, exposition=self.exposition, version="1")
        self.instruments.configure(self.targets, {}, now=self.clock.now())
        self.parts = {
            target.name: FakeTarget(
                self.clock,
                target,
                remedies=[self.remedy.built()],
                shown=views(target, missing=target.workers[0].services[-1:]),
            )
            for target in self.targets
        }
        self.verifier = Verifier(
            fleet=self.fleet, now=self.clock.now, wake=self._wake, sleep=self.clock.sleep
        )
        self.ownership = Ownership(
            ledger=self.ledger,
            owner=self.owner,
            lease=self.lease,
            clock=self.clock.monotonic,
        )
        self.remediator = Remediator(
            ledger=self.ledger,
            fleet=self.fleet,
            verifier=self.verifier,
            owner=self.owner,
            lease=timedelta(seconds=60),
            now=self.clock.now,
            on_closed=lambda operation, request: self.closed.append((operation, request)),
            fence=lambda: self.ownership.fence,
        )
        self.surroundings = Surroundings(
            ledger=self.ledger,
            remediator=self.remediator,
            ownership=self.ownership,
            alarms=lambda: self.alarms,
            boot=self.clock.monotonic,
        )
        self.rounds = Rounds(
            fleet=self.fleet,
            ledger=self.ledger,
            remediator=self.remediator,
            surroundings=self.surroundings,
            instruments=self.instruments,
            now=self.clock.now,
            recorder=self.recorder,
            on_decided=self._decided,
        )

    def _wake(self, name: str, components: frozenset[Component]) -> None:
        self.clock.advance(0.001)  # a reading begins after what asked for it
        part = self.parts[name]
        if self.helps:
            part.shown = dict(views(part.target))
        self.fleet.merge(part.target, part.readings(*components), now=self.clock.now())

    def _decided(self, target: str, decisions: tuple[Decision, ...], _at: datetime) -> None:
        self.decided[target] = decisions

    async def round(
        self, name: str | None = None, *, settle: bool = True, due: Iterable[Component] = Component
    ) -> tuple[Decision, ...]:
        """One round of a target (the first by default); waits for what it started."""
        name = name or self.targets[0].name
        watched = Watched(self.parts[name].backend, self.rules, self.max_mode, self.targets)
        if self.keeps:
            await self.ownership.keep()
        await self.ledger.refresh()  # a slow machine must not look like a ledger that is away
        with structlog.testing.capture_logs() as logs:
            await self.rounds.run(watched, [c for c in due if c in ONE.intervals])
            if settle:
                assert await self.remediator.drain(5)
        self.logs += logs
        return self.decided[name]

    async def sightings(self) -> Sightings:
        """How the hold of the only decision about the first target is seen from everywhere."""
        name = self.targets[0].name
        (decision,) = self.decided[name]
        changes = [e for e in self.logs if e["event"] == "decision.changed"]
        records = await self.ledger.latest_decisions(target=name)
        return Sightings(
            decision=decision.reason and str(decision.reason),
            log=next((e["reason"] for e in reversed(changes) if e["target"] == name), None),
            metric=self._held(name),
            web=await self._web(),
            ledger=records[0].reason if records else None,
        )

    def sample(self, short: str, **labels: str) -> float | None:
        """One sample of the metrics; None when it is absent."""
        name = f"restate_medic_{short}"
        for family in text_string_to_metric_families(self.exposition.body(Format.TEXT).decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def _held(self, target: str) -> str | None:
        page = self.exposition.body(Format.TEXT).decode()
        found = [
            sample.labels["reason"]
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "restate_medic_policy_held_since_timestamp_seconds"
            and sample.labels["target"] == target
        ]
        assert len(found) <= 1, found
        return found[0] if found else None

    async def _web(self) -> str | None:
        now, name = self.clock.now(), self.targets[0].name
        standing = follow({}, self.decided[name], now)
        status = WebStatus(
            now,
            ready=True,
            targets=(TargetStatus(self.targets[0], self.fleet.report(name)),),
            decisions=tuple(standing.values()),
        )

        async def reload() -> ReloadResult:
            return ReloadResult()

        app = build_web(
            exposition=self.exposition,
            status=lambda: status,
            reload=reload,
            version="1",
            **open_doors(),
        )
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://medic") as client:
            (body,) = (await client.get("/api/v1/decisions")).json()["decisions"]
            page = (await client.get("/")).text
        reason: str | None = body["reason"]
        assert reason is None or reason in page
        return reason
