"""The heartbeat beside its probe: one at a time, never in the way, and none too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from exporter.doctor.governor import ScanGovernor
from exporter.doctor.heart import _GONE, Heart, Pulse
from exporter.model.component import Reason
from exporter.model.heartbeat import Beat, Heartbeat, HeartbeatView
from exporter.model.phase import began
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, service
from tests.unit.fakes import Clock, until

WITHIN = timedelta(seconds=30)
WANT = Heartbeat("Pulse", "run", every=timedelta(hours=6), within=WITHIN)
TARGET = "prod"


@dataclass
class Ingress:
    """Invocations by name. ``endings`` are the answers to those who wait, in order; then: 200."""

    endings: list[hostile.Reply] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    accepting: list[hostile.Reply] = field(default_factory=list)
    """Answers to those who hand in, before it accepts."""

    async def send(self, request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        name = request.headers.get("idempotency-key") or request.path.split("/")[2]
        self.sent.append(name)
        if self.accepting:
            await self.accepting.pop(0)(request, writer)
            return
        status = "PreviouslyAccepted" if name in self.ids else "Accepted"
        id_ = self.ids.setdefault(name, f"inv_{len(self.ids)}")
        body = {"invocationId": id_, "status": status}
        await hostile.json_answer(body, 202)(request, writer)

    async def attach(self, request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        await (self.endings.pop(0) if self.endings else ended())(request, writer)


def ended(status: int = 200, message: str = "") -> hostile.Reply:
    """As an invocation's own end arrives."""
    body = {"code": status, "message": message} if message else "done"
    return hostile.json_answer(body, status, **{"x-restate-id": "inv_0"})


@dataclass
class Bed:
    """One heart, and what is around it."""

    restate: FakeRestate
    ingress: Ingress
    clock: Clock
    heart: Heart

    async def pulse(self) -> Pulse:
        """Look until there is something to see, and nothing more goes on."""
        seen: list[Pulse] = []

        def look() -> bool:
            pulse = self.heart.look()
            seen[:] = [] if pulse is None else [pulse]
            return bool(seen)

        await until(look)
        return seen[0]

    async def view(self) -> HeartbeatView:
        pulse = await self.pulse()
        assert pulse.view is not None
        return pulse.view

    async def wrong(self) -> tuple[Reason | None, str]:
        pulse = await self.pulse()
        return (None, "") if pulse.wrong is None else (pulse.wrong.reason, str(pulse.wrong))

    @property
    def name(self) -> str:
        """Of the beat of this interval."""
        return Beat(began(TARGET, WANT.every, now=self.clock.now())).name(TARGET)


@asynccontextmanager
async def bed(
    *,
    ingress: Ingress | None = None,
    known: list[dict[str, Any]] | None = None,
    ty: str = "Service",
    registered: bool = True,
    clock: Clock | None = None,
) -> AsyncIterator[Bed]:
    ingress, clock = ingress or Ingress(), clock or Clock()
    handlers = [("run", "Workflow" if ty == "Workflow" else None)]
    routes = {
        ("GET", "/services/Pulse"): hostile.json_answer(service("Pulse", ty=ty, handlers=handlers))
    }
    restate = FakeRestate(
        routes=routes if registered else {},
        rows=lambda statement: (known or []) if "starts_with" in statement else [],
    )
    for path in ("/Pulse/run/send", "/Pulse/restate-medic/run/send"):
        restate.routes["POST", path] = ingress.send
    for number in range(9):
        restate.routes["GET", f"/restate/invocation/inv_{number}/attach"] = ingress.attach
    async with restate.api() as api:
        heart = Heart(
            TARGET, WANT, api=api, scans=ScanGovernor(), clock=clock.now, monotonic=clock.monotonic
        )
        yield Bed(restate, ingress, clock, heart)
        heart.close()


def row(name: str, at: datetime, **more: Any) -> dict[str, Any]:
    """A beat of before, as the server lists it: completed and successful."""
    moment = at.isoformat()
    return {
        "id": "inv_5",
        "name": name,
        "status": "completed",
        "created_at": moment,
        "modified_at": moment,
        "completion_result": "success",
        **more,
    }


async def test_a_beat_that_answers_is_fine() -> None:
    """Nothing is known before its end; then how long it took, and when it was."""
    async with bed() as here:
        assert here.heart.look() is None
        view = await here.view()
        assert await here.wrong() == (None, "")
        assert (view.late, view.seconds, view.last_success_at) == (False, 0.0, here.clock.now())
        assert here.ingress.sent == [here.name]


async def test_one_an_interval() -> None:
    """However often it is looked at; and the next in the next interval."""
    async with bed() as here:
        for _ in range(20):
            await here.pulse()
        assert len(here.ingress.sent) == 1
        here.clock.advance(WANT.every.total_seconds())
        here.heart.look()
        await until(lambda: len(here.ingress.sent) == 2)
        assert here.ingress.sent[1] == here.name


async def test_what_has_not_answered_in_time_is_late_and_alone() -> None:
    """Late is told while it is outstanding, no second one is started whatever the interval says,
    and an end that comes too late is late too."""
    release = asyncio.Event()

    async def slow(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await ended()(request, writer)

    async with bed(ingress=Ingress([slow])) as here:
        here.heart.look()
        await until(lambda: not here.ingress.endings)
        assert here.heart.look() is None
        here.clock.advance(31)
        reason, text = await here.wrong()
        assert (reason, text) == (Reason.LATE, "Pulse/run has not answered for 31 s (inv_0)")
        view = await here.view()
        assert (view.late, view.last_success_at, view.invocation_id) == (True, None, "inv_0")
        here.clock.advance(2 * WANT.every.total_seconds())
        assert (await here.view()).late
        assert len(here.ingress.sent) == 1
        release.set()
        await until(lambda: (seen := here.heart.look()) is not None and seen.view is not None
                    and seen.view.last_success_at is not None)  # fmt: skip
        assert (await here.wrong())[0] is Reason.LATE
        assert (await here.view()).late


@pytest.mark.parametrize(
    ("status", "message"), [(500, "told to fail"), (409, "killed"), (404, "not found"), (429, "no")]
)
async def test_an_invocation_that_ends_badly_has_failed(status: int, message: str) -> None:
    """Failed, not late, and not unreachable: whatever its status, it is the invocation's own."""
    async with bed(ingress=Ingress([ended(status, message)])) as here:
        with structlog.testing.capture_logs() as logs:
            reason, text = await here.wrong()
        assert (reason, text) == (Reason.FAILED, f"Pulse/run failed (inv_0): [{status}] {message}")
        assert (await here.view()).late is False
        assert [entry["event"] for entry in logs] == ["heartbeat.failed"]
        assert len(here.ingress.sent) == 1
        here.clock.advance(61)
        here.heart.look()
        await until(lambda: len(here.ingress.sent) == 2)
        assert here.ingress.sent[1] == f"{here.ingress.sent[0]}-1"


async def test_what_is_not_registered_is_said_to_be_so() -> None:
    """Nothing is handed in, and it is looked for again each time."""
    async with bed(registered=False) as here:
        reason, text = await here.wrong()
        assert (reason, text) == (
            Reason.NOT_REGISTERED,
            "Pulse is not registered, so it cannot be called",
        )
        assert (await here.pulse()).view is None
        assert here.ingress.sent == []
        here.restate.routes["GET", "/services/Pulse"] = hostile.json_answer(service("Pulse"))
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is None)
        assert len(here.ingress.sent) == 1


async def test_a_handler_that_is_missing_is_named() -> None:
    """With those that there are."""
    async with bed() as here:
        lone = service("Pulse", handlers=[("beat", None)])
        here.restate.routes["GET", "/services/Pulse"] = hostile.json_answer(lone)
        assert await here.wrong() == (
            Reason.NOT_REGISTERED,
            "Pulse has no handler run; it has beat",
        )


async def test_an_ingress_that_knows_less_than_the_admin_api_says_so() -> None:
    """The registration gotcha: registered by the admin API's word, a 404 at the ingress."""
    gone = hostile.json_answer({"message": "service 'Pulse' not found"}, 404)
    async with bed(ingress=Ingress(accepting=[gone])) as here:
        assert await here.wrong() == (Reason.NOT_REGISTERED, "service 'Pulse' not found")
        assert (await here.view()).outstanding_since is None  # so it will never be late
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is None)
        assert here.ingress.sent == [here.name, here.name]


async def test_a_restart_starts_none_that_the_interval_has_had() -> None:
    """What succeeded before the restart is known again, from the server."""
    clock = Clock()
    slot = began(TARGET, WANT.every, now=clock.now())
    done = row(Beat(slot).name(TARGET), slot)
    async with bed(known=[done], clock=clock) as here:
        view = await here.view()
        assert (view.last_success_at, view.seconds, view.late) == (slot, 0.0, False)
        await here.pulse()
        assert here.ingress.sent == []


async def test_a_restart_waits_for_what_is_outstanding() -> None:
    """Also for one of an interval long past: one at a time."""
    clock = Clock()
    slot = began(TARGET, WANT.every, now=clock.now()) - 5 * WANT.every
    waiting = row(Beat(slot).name(TARGET), slot, status="paused")
    del waiting["completion_result"]
    async with bed(known=[waiting], ingress=Ingress([hostile.hang]), clock=clock) as here:
        assert (await here.wrong())[0] is Reason.LATE
        view = await here.view()
        assert (view.late, view.outstanding_since, view.invocation_id) == (True, slot, "inv_5")
        await until(lambda: not here.ingress.endings)
        assert here.ingress.sent == []


async def test_without_knowing_what_is_outstanding_none_is_started() -> None:
    """A query that fails could have shown one: hold, and say why."""
    async with bed() as here:
        here.restate.routes["POST", "/query"] = hostile.json_answer({"message": "no"}, 500)
        assert (await here.wrong())[0] is Reason.QUERY_FAILED
        assert (await here.pulse()).view is None
        assert here.ingress.sent == []


async def test_what_may_have_been_started_is_asked_for_under_the_same_name() -> None:
    """A connection that broke: the same name finds it, or starts it."""
    async with bed(ingress=Ingress(accepting=[hostile.hang_up()])) as here:
        assert (await here.wrong())[0] in {Reason.RESET, Reason.PROTOCOL}
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is None)
        assert set(here.ingress.sent) == {here.name}


async def test_an_ingress_that_throttles_is_no_failure_of_the_service() -> None:
    """It stays outstanding, and what is told is the throttling."""
    busy = hostile.json_answer({"message": "slow down"}, 503)
    async with bed(ingress=Ingress([busy])) as here:
        assert (await here.wrong())[0] is Reason.THROTTLED
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is None)
        assert len(here.ingress.sent) == 1


GONE = hostile.json_answer({"message": "not found"}, 404)
"""As the ingress says that it knows no such invocation: without the id of one."""


async def test_one_that_is_gone_has_failed_and_is_followed_by_the_next() -> None:
    """Purged, or wiped with all else: nobody will ever tell its end, and none is outstanding."""
    async with bed(ingress=Ingress([GONE])) as here:
        reason, text = await here.wrong()
        assert (reason, text) == (Reason.FAILED, f"Pulse/run failed (inv_0): {_GONE}")
        assert (await here.view()).last_success_at is None
        assert len(here.ingress.sent) == 1
        here.clock.advance(61)
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is None)
        assert here.ingress.sent == [here.name, f"{here.name}-1"]


async def test_one_that_only_the_ingress_does_not_know_stays_outstanding() -> None:
    """A proxy's 404, or an admin API that cannot be asked: no second one is started beside it."""
    there = {
        "id": "inv_0",
        "target_service_name": "Pulse",
        "target_service_ty": "service",
        "target_handler_name": "run",
        "status": "running",
        "created_at": "2026-11-20T12:00:00Z",
        "modified_at": "2026-11-20T12:00:00Z",
    }
    async with bed(ingress=Ingress([GONE] * 2)) as here:
        here.restate.rows = lambda statement: [there] if "inv_0" in statement else []
        assert (await here.wrong())[0] is Reason.HTTP_STATUS
        here.restate.routes["POST", "/query"] = hostile.json_answer({"message": "no"}, 500)
        await until(lambda: (seen := here.heart.look()) is not None and seen.wrong is not None
                    and seen.wrong.reason is Reason.QUERY_FAILED)  # fmt: skip
        here.clock.advance(2 * WANT.every.total_seconds())
        await until(lambda: (seen := here.heart.look()) is not None and seen.view is not None
                    and seen.view.last_success_at is not None)  # fmt: skip
        assert len(here.ingress.sent) == 1


async def test_a_virtual_object_is_called_under_one_key() -> None:
    """Else each beat would leave a state behind."""
    async with bed(ty="VirtualObject") as here:
        await here.view()
        assert ("POST", "/Pulse/restate-medic/run/send", None) in here.restate.calls


async def test_a_workflow_is_called_under_a_key_of_its_own() -> None:
    """Its run takes no idempotency key: the beat's name is the workflow's key."""
    async with bed(ty="Workflow") as here:
        here.restate.routes["POST", f"/Pulse/{here.name}/run/send"] = here.ingress.send
        await here.view()
        assert here.ingress.sent == [here.name]
        assert any("starts_with(target_service_key" in q for q in here.restate.queries)


async def test_a_heart_that_was_stopped_begins_nothing() -> None:
    """A round that still runs on a target that was changed must not bring it back."""
    async with bed() as here:
        here.heart.close()
        here.heart.look()
        await asyncio.sleep(0.02)
        assert here.restate.calls == []


async def test_a_crash_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours is `internal`, and the next look tries again."""
    async with bed() as here:

        async def broken() -> None:
            await asyncio.sleep(0)
            raise KeyError("hunter2")

        monkeypatch.setattr(here.heart, "_remember", broken)
        with structlog.testing.capture_logs():
            assert await here.wrong() == (Reason.INTERNAL, "the heartbeat crashed: KeyError")
