"""Each hold of the engine, through a whole round: one word in all the places where it is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.ledger.gateway import Ledger
from exporter.model.decision import Result
from exporter.model.hold import HoldReason
from exporter.model.identity import Identity
from exporter.model.operation import Outcome, Phase
from exporter.model.orders import BreakerName
from exporter.policy.alarms import Alarms, Alert, Heard, Silence
from exporter.policy.matchers import Matcher, Sign
from tests.unit.fakes import Clock, by_person, by_policy, ledger_at, plan_for
from tests.unit.policy_scenes import NOW, ONE, policy, views
from tests.unit.shift import Shift

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LEASE = timedelta(seconds=60)


@pytest.fixture
async def shift(tmp_path: Path) -> AsyncIterator[Shift]:
    async with ledger_at(tmp_path) as ledger:
        yield Shift(ledger, (policy(),))


async def seen_alike(shift: Shift, reason: HoldReason) -> None:
    """The same word everywhere, and nothing was written."""
    sightings = await shift.sightings()
    assert sightings.all == {str(reason)}, sightings
    assert shift.remedy.written == []


async def fail_once(shift: Shift, at: Clock, *, target: str = "prod") -> None:
    """An operation of the policy that failed."""
    request = by_policy("p", target=target)
    row = await shift.ledger.reserve(
        request, plan_for(request), owner="x", lease=LEASE, now=at.now()
    )
    await shift.ledger.advance(row.id, Phase.ACTING, owner="x", lease=LEASE, now=at.now())
    await shift.ledger.finish(row.id, Outcome.FAILED, owner="x", now=at.now())


async def test_nothing_holds_and_the_remedy_acts(shift: Shift) -> None:
    """The scene that all others hold: without them it acts."""
    (found,) = await shift.round()
    assert found.result is Result.ACT
    assert shift.remedy.written == ["register it"]


async def test_outside_window(shift: Shift) -> None:
    """And inside it acts."""
    more = 'windows: [{days: [tue], start: "00:00", end: "24:00", timezone: UTC}]'
    shift.rules = (policy(more=more),)
    await shift.round()
    await seen_alike(shift, HoldReason.OUTSIDE_WINDOW)
    shift.clock.advance(21 * 3600)
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_breaker_open(shift: Shift) -> None:
    """After two failures, and not after the first; a person's reset lets it act again."""
    before = Clock(NOW - 2 * HOUR)
    await fail_once(shift, before)
    before.advance(60)
    await fail_once(shift, before)
    await shift.round()
    await seen_alike(shift, HoldReason.BREAKER_OPEN)
    assert shift.sample("breaker_open", target="prod", policy="p") == 1
    now = shift.clock.advance(1)
    name = BreakerName("prod", "force-redeploy")
    await shift.ledger.reset_breaker(name, actor="mira", reason="", now=now)
    await shift.round()
    assert shift.remedy.written == ["register it"]
    await shift.round()
    assert shift.sample("breaker_open", target="prod", policy="p") == 0


@pytest.mark.parametrize(("scope", "name"), [("global", ""), ("target", "prod"), ("policy", "p")])
async def test_paused(shift: Shift, scope: str, name: str) -> None:
    """By a pause of each scope, until it runs out."""
    await shift.ledger.pause(
        scope,  # type: ignore[arg-type]
        name,
        owner="mira",
        reason="rollout",
        now=NOW,
        expires_at=NOW + HOUR,
    )
    (found,) = await shift.round()
    await seen_alike(shift, HoldReason.PAUSED)
    assert "mira paused" in found.detail
    assert "rollout" in found.detail
    shift.clock.advance(3600)
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_other_pauses_do_not_hold(shift: Shift) -> None:
    """A pause of another target or policy is theirs."""
    for scope, name in (("target", "other"), ("policy", "q")):
        await shift.ledger.pause(
            scope,  # type: ignore[arg-type]
            name,
            owner="mira",
            reason="x",
            now=NOW,
        )
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_a_pause_in_the_middle_stops_the_next_write(shift: Shift) -> None:
    """It is read from the ledger again before each write, whoever ordered it."""
    shift.remedy.steps = ("one", "two", "three")

    async def pause() -> None:
        if shift.remedy.written == ["one"]:
            await shift.ledger.pause("global", "", owner="mira", reason="stop", now=NOW)

    shift.remedy.pause = pause
    await shift.round()
    assert shift.remedy.written == ["one"]
    ((operation, _),) = shift.closed
    assert operation.outcome is Outcome.PARTIAL
    assert operation.error is not None
    assert operation.error.startswith("paused: mira paused everything: stop")
    await shift.round()
    assert (await shift.sightings()).decision == HoldReason.PAUSED


async def test_a_window_that_ends_in_the_middle_stops_the_next_write(shift: Shift) -> None:
    """What began inside it does not go on outside."""
    more = 'windows: [{days: [mon], start: "03:00", end: "04:00", timezone: UTC}]'
    shift.rules = (policy(more=more),)
    shift.remedy.steps = ("one", "two")

    async def late() -> None:
        if shift.remedy.written:
            shift.clock.at = NOW + HOUR

    shift.remedy.pause = late
    await shift.round()
    assert shift.remedy.written == ["one"]


BLOCKS = """block_on_alerts: ['severity="critical", target="$target"']"""
CRITICAL = {"alertname": "DiskFull", "severity": "critical", "target": "prod"}
FIRES = Alert(CRITICAL, NOW - HOUR, name="DiskFull")
QUIET = Alarms(MINUTE, Heard(NOW))
IS_PROD = Matcher("target", Sign.EQUAL, "prod")
SILENCE = Silence("s1", (IS_PROD,), "mira", "migration", NOW + HOUR)


async def test_alert_firing(shift: Shift) -> None:
    """Its name is in the detail; once it has gone, the policy acts."""
    shift.rules = (policy(more=BLOCKS),)
    shift.alarms = replace(QUIET, heard=Heard(NOW, (FIRES,)))
    (found,) = await shift.round()
    await seen_alike(shift, HoldReason.ALERT_FIRING)
    assert "DiskFull fires since 2026-11-02 02:00:00Z" in found.detail
    assert 'severity="critical", target="prod"' in found.detail
    shift.alarms = QUIET
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_alerts_unknown(shift: Shift) -> None:
    """Never read, or too long ago, with the reason why it was not read since."""
    shift.rules = (policy(more=BLOCKS),)
    shift.alarms = Alarms(MINUTE, trouble="connection refused")
    (found,) = await shift.round()
    await seen_alike(shift, HoldReason.ALERTS_UNKNOWN)
    assert found.detail == "Alertmanager was not read yet: connection refused"
    shift.alarms = Alarms(MINUTE, Heard(NOW), trouble="connection refused")
    shift.clock.advance(61)
    (found,) = await shift.round()
    await seen_alike(shift, HoldReason.ALERTS_UNKNOWN)
    assert found.detail == "Alertmanager was last read 1m1s ago, more than 1m: connection refused"


async def test_silenced(shift: Shift) -> None:
    """A silence of the target holds every policy, also one that asks for no alerts."""
    shift.alarms = replace(QUIET, heard=Heard(NOW, silences=(SILENCE,)))
    (found,) = await shift.round()
    await seen_alike(shift, HoldReason.SILENCED)
    assert found.detail == "mira silenced this target: migration (silence s1)"
    shift.alarms = QUIET
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_a_silence_in_the_middle_stops_the_next_write(shift: Shift) -> None:
    """So does an alert, and not knowing any more: all three are asked before each write."""
    shift.rules = (policy(more=BLOCKS),)
    shift.alarms, shift.remedy.steps = QUIET, ("one", "two", "three")

    async def silence() -> None:
        if shift.remedy.written:
            shift.alarms = replace(QUIET, heard=Heard(NOW, silences=(SILENCE,)))

    shift.remedy.pause = silence
    await shift.round()
    assert shift.remedy.written == ["one"]
    ((operation, _),) = shift.closed
    assert operation.outcome is Outcome.PARTIAL
    assert operation.error is not None
    assert operation.error.startswith("silenced: mira silenced this target")


async def test_manual_hold(shift: Shift) -> None:
    """Ten minutes from a person's operation, which the ledger knows, whoever carried it out."""
    request = by_person()
    row = await shift.ledger.reserve(
        request, plan_for(request), owner="cli", lease=LEASE, now=NOW - 20 * MINUTE
    )
    now = NOW - 9 * MINUTE
    await shift.ledger.finish(row.id, Outcome.VERIFIED, owner="cli", now=now)
    shift.rules = (policy(cooldown="1m"),)
    await shift.round()
    await seen_alike(shift, HoldReason.MANUAL_HOLD)
    shift.clock.advance(60)
    await shift.round()
    assert shift.remedy.written == ["register it"]


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_clock_suspect(shift: Shift, jump: float) -> None:
    """A clock that is set holds everything for a while, and starts every waiting anew."""
    shift.rules = (policy(more="for: 2m"),)
    await shift.round()
    shift.clock.set(jump)
    shift.clock.advance(15)
    await shift.round()
    await seen_alike(shift, HoldReason.CLOCK_SUSPECT)
    for _ in range(10):
        shift.clock.advance(30)
        await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_a_jump_does_not_cut_the_waiting_short(shift: Shift) -> None:
    """An hour forward is no hour of being broken."""
    shift.rules = (policy(more="for: 30m"),)
    await shift.round()
    shift.clock.set(3600)
    await shift.round()
    shift.clock.advance(400)
    (found,) = await shift.round()
    assert found.reason is HoldReason.PENDING


async def test_identity_changed(shift: Shift) -> None:
    """Known from the ledger, so also after a restart, until a person accepts what is there."""
    await shift.ledger.note_identity("prod", Identity(None, frozenset({"dp_old"})), now=NOW)
    await shift.round()
    await seen_alike(shift, HoldReason.IDENTITY_CHANGED)
    shift.clock.advance(1)
    await shift.round()
    await shift.ledger.note_identity(
        "prod", Identity(None, frozenset({"dp_0"})), now=shift.clock.now(), accepted_by="mira"
    )
    await shift.round()
    assert shift.remedy.written == ["register it"]


async def test_what_a_target_is_known_by_is_noted_when_it_changes(shift: Shift) -> None:
    """A rollout at a time, and nothing while nothing changes."""
    for _ in range(3):
        shift.clock.advance(15)
        await shift.round()
    kinds = [e.kind for e in await shift.ledger.chain()]
    assert kinds.count("identity") == 1
    await shift.ledger.refresh()
    known = shift.ledger.standing.orders.identities["prod"]
    assert known == Identity(None, frozenset({"dp_0"}))


async def fleet(folder: Path, count: int, rounds: Collection[int]) -> Shift:
    """Targets that are all broken, of which some had their first round."""
    targets = tuple(replace(ONE, name=f"t{n}") for n in range(count))
    ledger = await Ledger.open(f"sqlite:///{folder}/medic.db")
    shift = Shift(ledger, (policy(more="for: 1h"),), targets)
    for number in rounds:
        await shift.round(f"t{number}")
    return shift


async def test_storm(tmp_path: Path) -> None:
    """Pending and held ones count too: three of five are more than two."""
    shift = await fleet(tmp_path, 5, range(5))
    shift.parts["t3"].shown = shift.parts["t4"].shown = dict(views())
    shift.rules = (policy(),)
    await shift.round("t3")
    await shift.round("t4")
    await shift.round("t0")
    await seen_alike(shift, HoldReason.STORM)
    assert shift.sample("storm_affected", policy="p") == 3
    assert shift.sample("storm_allowed", policy="p") == 2
    shift.parts["t1"].shown = dict(views())
    await shift.round("t1")
    await shift.round("t0")
    assert shift.remedy.written == ["register it"]
    await shift.ledger.close()


async def test_a_target_that_has_never_reported_is_a_storm(tmp_path: Path) -> None:
    """Right after a start nobody knows how many are affected."""
    shift = await fleet(tmp_path, 10, range(9))
    shift.rules = (policy(),)
    for number in range(1, 9):
        shift.parts[f"t{number}"].shown = dict(views())
        await shift.round(f"t{number}")
    (found,) = await shift.round("t0")
    await seen_alike(shift, HoldReason.STORM)
    assert "no word yet from t9" in found.detail
    shift.parts["t9"].shown = dict(views())
    await shift.round("t9")
    await shift.round("t0")
    assert shift.remedy.written == ["register it"]
    await shift.ledger.close()


async def test_a_target_that_was_not_looked_at_for_long_is_affected(tmp_path: Path) -> None:
    """Its last word was that all is well; that is long ago."""
    shift = await fleet(tmp_path, 2, range(2))
    shift.rules = (policy(),)
    shift.parts["t1"].shown = dict(views())
    await shift.round("t1")
    shift.clock.advance(61)
    await shift.round("t0")
    await seen_alike(shift, HoldReason.STORM)
    await shift.ledger.close()


async def test_not_owner(shift: Shift) -> None:
    """The second on a ledger watches and stands by; the first may be gone only when silent."""
    second = Shift(shift.ledger, shift.rules, owner="there:2:def")
    shift.rules = (policy(mode="off"),)
    await shift.round()
    await second.round()
    (found,) = second.decided["prod"]
    assert (found.reason, found.detail) == (
        HoldReason.NOT_OWNER,
        "here:1:abc acts for this target; this instance stands by",
    )
    seen = await second.sightings()
    assert {seen.decision, seen.log, seen.metric, seen.web} == {"not_owner"}
    assert seen.ledger == "mode_off", "only who acts may record decisions"
    assert second.sample("target_owned", target="prod") == 0
    await shift.ownership.release()
    await second.round()
    assert second.remedy.written == ["register it"]
    assert second.sample("target_owned", target="prod") == 1


async def test_who_lost_the_lease_without_knowing_begins_nothing(shift: Shift) -> None:
    """The ledger compares the epoch when it reserves, whatever the process believes."""
    await shift.ownership.keep()
    shift.keeps = False
    await shift.ledger.release("1/1", holder=shift.owner)
    await shift.ledger.acquire("1/1", holder="there:2:def", length=LEASE)
    (found,) = await shift.round()
    assert found.result is Result.ACT
    assert shift.remedy.written == []
    assert await shift.ledger.operations() == ()


async def test_who_loses_the_lease_in_the_middle_writes_no_more(shift: Shift) -> None:
    """What is left of it is counted before each write."""
    shift.remedy.steps = ("one", "two")
    shift.keeps = False
    await shift.ownership.keep()

    async def late() -> None:
        if shift.remedy.written:
            shift.clock.set_by -= 61  # the boot clock alone runs on: the operation's lease holds

    shift.remedy.pause = late
    await shift.round()
    assert shift.remedy.written == ["one"]
    ((operation, _),) = shift.closed
    assert operation.outcome is Outcome.PARTIAL
    assert operation.error is not None
    assert operation.error.startswith("not_owner: ")


async def test_nothing_is_wrong(shift: Shift) -> None:
    """What is paused, stopped and outside its window is clear all the same when all is well."""
    await shift.ledger.pause("global", "", owner="mira", reason="x", now=NOW)
    shift.parts["prod"].shown = dict(views())
    (found,) = await shift.round()
    assert found.result is Result.CLEAR
