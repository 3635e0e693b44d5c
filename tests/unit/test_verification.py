"""Verification: only what was read after the write counts, for as long as asked, and in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from exporter.fleet import Fleet
from exporter.model.component import Component, Reason
from exporter.model.findings import Findings
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.model.views import ServicesView
from exporter.remediate.verification import Verification, Verifier
from tests.unit.fakes import Clock, FakeTarget
from tests.unit.policy_scenes import NOW, ONE, views

SERVICES = frozenset({Component.SERVICES})
BOTH = frozenset({Component.SERVICES, Component.DEPLOYMENTS})
MISSING = "service Counter is not served"


@dataclass
class Patient:
    """A target that heals when a test says so, read as soon as somebody asks for it."""

    clock: Clock = field(default_factory=Clock)
    fleet: Fleet = field(default_factory=Fleet)
    heals: Callable[[float], bool] = lambda _seconds: True
    """Whether it is healthy so many seconds after the write."""
    answers: bool = True
    fails_first: int = 0
    """How many readings fail before the first that does not."""
    only: frozenset[Component] = BOTH
    """What is read of what is asked for."""
    asked: list[frozenset[Component]] = field(default_factory=list)
    read_at: list[float] = field(default_factory=list)
    judged_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = FakeTarget(self.clock)

    def wake(self, name: str, components: frozenset[Component]) -> None:
        assert name == ONE.name
        self.asked.append(components)
        if not self.answers:
            return
        self.clock.advance(0.001)
        seconds = (self.clock.now() - NOW).total_seconds()
        self.read_at.append(round(seconds, 2))
        self.target.shown.update(views(missing=[] if self.heals(seconds) else ["Counter"]))
        failing = len(self.read_at) <= self.fails_first
        self.target.failing = {Component.SERVICES: Reason.TIMEOUT} if failing else {}
        readings = self.target.readings(*components & self.only)
        self.fleet.merge(ONE, readings, now=self.clock.now())

    def check(self, report: Report, now: datetime) -> str | None:
        """The postcondition: it is registered, as far as that can be read."""
        self.judged_at.append(round((now - NOW).total_seconds(), 2))
        services = report.view(Component.SERVICES, ServicesView, now)
        if services is None:
            return "services cannot be read"
        return None if services.get("Counter") else MISSING

    async def verify(
        self,
        verification: Verification,
        needs: frozenset[Component] = SERVICES,
        target: Target = ONE,
    ) -> str | None:
        verifier = Verifier(
            fleet=self.fleet, now=self.clock.now, wake=self.wake, sleep=self.clock.sleep
        )
        return await verifier.verify(target, verification, needs=needs, check=self.check, since=NOW)


def within(seconds: float, *, healthy_for: float = 0) -> Verification:
    return Verification(
        within=timedelta(seconds=seconds), healthy_for=timedelta(seconds=healthy_for)
    )


async def test_it_is_over_with_the_first_good_reading() -> None:
    """Nothing to wait for: one reading after the write that shows it is enough."""
    patient = Patient()
    assert await patient.verify(within(60)) is None
    assert patient.read_at == [0.0]
    assert patient.clock.slept == []


async def test_readings_begun_before_the_write_do_not_count() -> None:
    """However good they look, and even when they are merged only afterwards."""
    patient = Patient(answers=False)
    for seconds in (-1, 0):
        patient.clock.at = NOW + timedelta(seconds=seconds)
        patient.fleet.merge(ONE, patient.target.readings(), now=NOW)
    patient.clock.at = NOW
    assert await patient.verify(within(0.01)) == "no fresh reading came in time"
    assert patient.judged_at == []


async def test_every_component_must_be_read_after_the_write() -> None:
    """One that the remedy checks, one that the condition reads: the older one is waited for."""
    patient = Patient(only=SERVICES)
    verification = Verification(within=timedelta(seconds=0.02), components=BOTH)
    assert await patient.verify(verification) == "no fresh reading came in time"
    assert patient.asked == [BOTH]


async def test_what_the_target_does_not_probe_is_not_waited_for() -> None:
    """A component that is off has no readings, ever."""
    patient = Patient()
    less = replace(ONE, intervals={Component.SERVICES: timedelta(seconds=15)})
    assert await patient.verify(within(1), needs=BOTH, target=less) is None
    assert patient.asked == [SERVICES]


async def test_it_looks_again_until_it_is_healed() -> None:
    """With longer pauses each time, at most 15 seconds."""
    patient = Patient(heals=lambda seconds: seconds > 40)
    assert await patient.verify(within(600)) is None
    assert patient.clock.slept == [1, 2, 4, 8, 15, 15]


async def test_healthy_for_needs_good_readings_at_both_ends() -> None:
    """One when it begins and one when it is over, counted by when they were begun."""
    patient = Patient()
    assert await patient.verify(within(600, healthy_for=30)) is None
    assert patient.read_at[0] == 0.0
    assert patient.read_at[-1] - patient.read_at[0] >= 30
    assert len(patient.read_at) == 2


async def test_health_that_breaks_in_between_begins_anew() -> None:
    """Healthy from the second time on, for the whole time, and not before."""
    patient = Patient(heals=lambda seconds: seconds < 5 or seconds > 32)
    assert await patient.verify(within(600, healthy_for=30)) is None
    assert patient.read_at[-1] >= 62


async def test_time_is_up_says_what_is_missing() -> None:
    """The check's own words; nothing is judged much after the end."""
    patient = Patient(heals=lambda _seconds: False)
    assert await patient.verify(within(60)) == MISSING
    assert patient.judged_at[-1] <= 60.1


async def test_too_short_a_health_is_told() -> None:
    """It healed, but so late that it could not be seen to last."""
    patient = Patient(heals=lambda seconds: seconds > 40)
    assert await patient.verify(within(60, healthy_for=30)) == "it was not healthy for long enough"


async def test_nothing_is_read_any_more() -> None:
    """A schedule that stalls, a target that hangs: verification ends all the same."""
    patient = Patient(answers=False)
    assert await patient.verify(within(0.01)) == "no fresh reading came in time"


async def test_a_component_that_cannot_be_read_keeps_it_waiting() -> None:
    """Unknown is neither healed nor broken: the next readings decide."""
    patient = Patient(fails_first=3)
    assert await patient.verify(within(600)) is None
    assert len(patient.read_at) == 4


@pytest.mark.parametrize("wrong", [True, False])
async def test_the_condition_must_have_ended_too(wrong: bool) -> None:
    """The remedy's own check is not enough while what called for it still holds."""
    patient = Patient()
    seen: list[Findings] = []

    def still_wrong(findings: Findings) -> bool:
        seen.append(findings)
        return wrong

    verification = Verification(within=timedelta(seconds=20), still_wrong=still_wrong)
    missing = await patient.verify(verification)
    assert missing == ("the condition that called for it still holds" if wrong else None)
    assert seen[0].at > NOW
    assert seen[0].values["services.missing"] == []
