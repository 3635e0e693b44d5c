"""The gate of a pipeline: it waits for the new worker, not for ever, and for nothing hopeless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.gate import Gate, NotReadyError, Patience, expected_at
from exporter.model.component import Reason
from exporter.model.drift import fingerprint
from exporter.model.errors import CallFailedError, InFlightError, MedicError, RefusedError
from exporter.model.operation import Operation, Plan
from exporter.model.target import Target, Worker
from tests.unit.fakes import Clock
from tests.unit.policy_scenes import shape

URL = "http://w:9080/"
TARGET = Target("prod", workers=(Worker(URL, ("Greeter",)),))
PATIENCE = Patience(timedelta(seconds=60), timedelta(seconds=10))
DEAD = CallFailedError(Reason.HTTP_STATUS, "connection refused")
HURTS = RefusedError("drop-service", "no longer offers Counter", override="drop-service")


def plan(*names: str) -> Plan:
    offered = fingerprint(shape(name) for name in names)
    arguments, rests_on = {"url": URL, "force": True}, {"offered": offered}
    return Plan("force-redeploy", "prod", "register it", arguments, rests_on)


OLD, NEW = plan("Counter"), plan("Counter", "Greeter")


@dataclass
class Stage:
    """What each look sees, second by second; the last goes on for ever."""

    looks: list[Plan | MedicError]
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._looks = self._each()

    def _each(self) -> Iterator[Plan | MedicError]:
        yield from self.looks
        while True:
            yield self.looks[-1]

    def gate(self) -> Gate:
        return Gate(
            self.look,
            TARGET,
            PATIENCE,
            tell=self.said.append,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )

    async def look(self) -> Plan:
        found = next(self._looks)
        if isinstance(found, MedicError):
            raise found
        return found

    @property
    def took(self) -> float:
        return self.clock.monotonic()


async def test_a_worker_that_is_ready_is_watched_for_a_while() -> None:
    """As long as it has to stay the same, and no longer."""
    stage = Stage([NEW])
    assert await stage.gate().settled() is NEW
    assert stage.took == 10
    assert stage.said == ["the worker answers; waiting 10s for it to stay so"]


async def test_a_rollout_is_waited_for() -> None:
    """Dead, then the old one, then flapping between both, then the new one."""
    stage = Stage([DEAD, DEAD, OLD, OLD, NEW, OLD, NEW])
    assert await stage.gate().settled() is NEW
    assert stage.took == 16
    assert stage.said[:2] == [
        "waiting: connection refused",
        "waiting: the worker does not offer Greeter",
    ]


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([DEAD], "connection refused"),
        ([OLD], "does not offer Greeter"),
        ([NEW, plan("Greeter")] * 50, "did not answer the same for 10s within 1m"),
    ],
)
async def test_it_does_not_wait_for_ever(looks: list[Plan | MedicError], words: str) -> None:
    """At the end of its patience it says what was still missing."""
    stage = Stage(looks)
    with pytest.raises(MedicError, match=words):
        await stage.gate().settled()
    assert stage.took == 60


async def test_a_refusal_may_be_the_old_worker_s() -> None:
    """One that stays is final, before patience is at its end."""
    stage = Stage([HURTS, HURTS, NEW])
    assert await stage.gate().settled() is NEW
    stage = Stage([HURTS])
    with pytest.raises(RefusedError, match="no longer offers"):
        await stage.gate().settled()
    assert stage.took == 10


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("placeholder-url", "a placeholder"),
        RefusedError("url-missing", "name it"),
        CallFailedError(Reason.UNAUTHORIZED, "answered 401", http_status=401),
    ],
)
async def test_what_no_waiting_mends_fails_at_once(error: MedicError) -> None:
    """A wrong URL or token stays wrong."""
    stage = Stage([error])
    with pytest.raises(type(error)):
        await stage.gate().settled()
    assert stage.took == 0


async def test_somebody_else_may_be_faster() -> None:
    """Then it is settled and tried again; what is refused for good is not."""
    stage = Stage([NEW])
    left: list[MedicError] = [
        InFlightError("another operation is open", operation_id="op_1"),
        RefusedError("changed", "the worker changed"),
        RefusedError("not-latest", "it is not the latest"),
    ]

    async def carry_out(_plan: Plan) -> Operation:
        raise left.pop(0)

    with pytest.raises(RefusedError, match="not the latest"):
        await stage.gate().registered(carry_out)
    assert left == []


async def test_one_that_is_always_faster_is_told_in_the_end() -> None:
    """The lock is not waited for longer than for the worker."""
    stage = Stage([NEW])

    async def carry_out(_plan: Plan) -> Operation:
        raise InFlightError("another operation is open", operation_id="op_1")

    with pytest.raises(InFlightError):
        await stage.gate().registered(carry_out)
    assert stage.took <= 60


_looks = st.lists(st.sampled_from([NEW, OLD, DEAD, HURTS, plan("Greeter")]), min_size=1)


@given(_looks)
async def test_whatever_a_rollout_looks_like(looks: list[Plan | MedicError]) -> None:
    """It ends in time; what it settles for is whole and was the same for long enough."""
    stage = Stage(looks)
    try:
        settled = await stage.gate().settled()
    except (RefusedError, CallFailedError, NotReadyError):
        assert stage.took <= 61
        return
    assert settled is not OLD
    seconds = int(stage.took)
    seen = (looks + [looks[-1]] * 100)[seconds - 10 : seconds + 1]
    assert all(one is settled for one in seen)


def test_what_a_worker_should_bring() -> None:
    """Its own services, or all that are expected; of a stranger among several nothing."""
    assert expected_at("http://W:9080", TARGET) == {"Greeter"}
    only = Target("prod", workers=(Worker(URL),), expected_services=("A",))
    assert expected_at("http://other:9080/", only) == {"A"}
    two = Target("prod", workers=(Worker(URL), Worker("http://x/")), expected_services=("A",))
    assert expected_at("http://other:9080/", two) == frozenset()
