"""The report of a night: from what the ledger knows to what a person reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.ledger.gateway import Ledger
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import ActResult, Outcome, Phase
from exporter.model.orders import BreakerName, OpenBreaker
from exporter.model.relapse import Relapse
from exporter.report.gather import report as gather
from exporter.report.html import to_html
from exporter.report.markdown import code, escaped, to_markdown
from exporter.report.message import to_message
from exporter.report.tell import Known, tell
from exporter.wire.report import ReportBody
from tests.unit.fakes import by_person, by_policy, ledger_at, plan_for
from tests.unit.policy_scenes import NOW, ONE, policy

LEASE = timedelta(minutes=10)
NIGHT = timedelta(hours=24)
KNOWN = Known(("prod", "lab"))
HOSTILE = "</code><script>alert(1)</script> `x` *b* [l](http://e/) |\n# h \u202e key_abcdefghijkl"


def at(minutes: float) -> datetime:
    """So many minutes into a night that ends at ``at(600)``."""
    return NOW + timedelta(minutes=minutes)


END = at(600)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Somebody acts for the targets, and the ledger is older than the night."""
    async with ledger_at(tmp_path) as made:
        await made.note_changes([decided(None, policy="old")], now=END - 2 * NIGHT)
        await made.note_changes([decided(HoldReason.PENDING, policy="old")], now=END - 2 * NIGHT)
        await made.note_changes([decided(None, policy="old")], now=END - 2 * NIGHT)
        await made.acquire("1/1", holder="me", length=LEASE)
        yield made


def decided(
    reason: HoldReason | None,
    *,
    policy: str = "heal",
    target: str = "prod",
    item: str | None = None,
    acts: bool = False,
    detail: str = "",
) -> Decision:
    result = Result.ACT if acts else Result.CLEAR if reason is None else Result.HOLD
    return Decision(Subject(policy, target, item), result, reason, detail)


async def performed(
    ledger: Ledger,
    outcome: Outcome,
    *,
    begun: float,
    ended: float,
    wrong_since: float | None = None,
) -> str:
    """One operation of a policy from its reservation to its end."""
    since = None if wrong_since is None else at(wrong_since)
    request = by_policy(true_since=since)
    row = await ledger.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(begun))
    await ledger.advance(row.id, Phase.ACTING, owner="me", lease=LEASE, now=at(begun))
    await ledger.mark_acted(row.id, ActResult(), owner="me", lease=LEASE, now=at(begun))
    error = None if outcome is Outcome.VERIFIED else "it is as broken as before"
    await ledger.finish(row.id, outcome, owner="me", now=at(ended), error=error)
    return row.id


async def told(ledger: Ledger, known: Known = KNOWN, reach: timedelta = NIGHT) -> ReportBody:
    return tell(await ledger.period(END - reach), known, now=END)


async def test_a_quiet_night_reads_well(ledger: Ledger) -> None:
    """It says that nothing was wrong and what was watched, and nothing more."""
    body = await told(ledger)
    assert body.verdict == "nothing was wrong; 2 targets watched"
    assert to_markdown(body) == (
        "# restate-medic\n\n**Nothing was wrong; 2 targets watched.**\n\n"
        "From 2026-11-01 13:00:00Z to 2026-11-02 13:00:00Z.\n"
        "Nothing was done, nothing was held, and nothing waits for a person.\n"
    )
    assert body.heal is None


async def test_what_was_wrong_from_when_to_when(ledger: Ledger) -> None:
    """From the first hold to clear, whatever reasons came in between; what goes on is open."""
    for minute, decision in [
        (0, decided(HoldReason.PENDING)),
        (2, decided(HoldReason.COOLDOWN)),
        (5, decided(None, acts=True)),
        (9, decided(None)),
        (30, decided(HoldReason.LIMIT_TARGET, policy="other", item="a")),
        (40, decided(HoldReason.COMPONENT_UNKNOWN, policy="blind", target="lab")),
        (45, decided(None, policy="blind", target="lab")),
    ]:
        await ledger.note_changes([decision], now=at(minute))
    body = await told(ledger)
    assert [(w.policy, w.item, w.known, w.seconds) for w in body.wrong] == [
        ("heal", None, True, 9 * 60),
        ("other", "a", True, 570 * 60),
        ("blind", None, False, 5 * 60),
    ]
    assert [w.until is None for w in body.wrong] == [False, True, False]
    assert body.verdict == (
        "something was wrong 2 times, 1 of them still;"
        " 1 time nobody could tell whether something was; 2 targets watched"
    )


async def test_what_began_before_the_night_is_told_with_its_beginning(ledger: Ledger) -> None:
    """And what held it counts only from the night on."""
    for hours, reason in ((40, HoldReason.PENDING), (39, HoldReason.BREAKER_OPEN)):
        await ledger.note_changes([decided(reason)], now=END - timedelta(hours=hours))
    body = await told(ledger)
    (wrong,) = body.wrong
    assert wrong.since == "2026-10-31T21:00:00.000Z"
    assert wrong.until is None
    (held,) = body.held
    assert (held.reason, held.seconds, held.times) == ("breaker_open", 86_400, 1)


async def test_what_was_over_before_the_night_is_not_in_it(ledger: Ledger) -> None:
    """Neither what was wrong, nor what was done."""
    early = END - timedelta(hours=30)
    await ledger.note_changes([decided(HoldReason.PENDING)], now=early)
    await ledger.note_changes([decided(None)], now=early + timedelta(minutes=1))
    request = by_policy()
    row = await ledger.reserve(request, plan_for(request), owner="me", lease=LEASE, now=early)
    await ledger.finish(row.id, Outcome.VERIFIED, owner="me", now=early)
    body = await told(ledger)
    assert (body.wrong, body.done, body.held) == ((), (), ())


async def test_holds_are_added_up_longest_first(ledger: Ledger) -> None:
    """The same reason twice is one line with both."""
    for minute, reason in [
        (0, HoldReason.PENDING),
        (1, HoldReason.COOLDOWN),
        (31, HoldReason.IN_FLIGHT),
        (33, HoldReason.COOLDOWN),
        (63, None),
    ]:
        await ledger.note_changes([decided(reason, detail=f"since {minute}")], now=at(minute))
    body = await told(ledger)
    assert [(h.reason, h.seconds / 60, h.times, h.holds_now) for h in body.held] == [
        ("cooldown", 60, 2, False),
        ("in_flight", 2, 1, False),
        ("pending", 1, 1, False),
    ]
    assert body.held[0].detail == "since 33"


async def test_what_was_done_and_how_long_it_took_to_heal(ledger: Ledger) -> None:
    """From the condition being true to verified: median and worst; a person's is not a heal."""
    for begun, since in ((10, 4), (30, 28), (60, 50)):
        await performed(ledger, Outcome.VERIFIED, begun=begun, ended=begun + 1, wrong_since=since)
    request = by_person()
    row = await ledger.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(90))
    await ledger.finish(row.id, Outcome.VERIFIED, owner="me", now=at(91))
    body = await told(ledger)
    assert [d.heal_seconds for d in body.done] == [420, 180, 660, None]
    assert [d.by for d in body.done] == ["policy:heal"] * 3 + ["mira"]
    assert body.heal is not None
    assert (body.heal.count, body.heal.median_seconds) == (3, 420)
    assert (body.heal.worst_seconds, body.heal.worst) == (660, body.done[2].id)
    assert body.attention == ()


async def test_what_ended_badly_is_on_top(ledger: Ledger) -> None:
    """Interrupted first, then in doubt, and what did not last; each is among the done, too."""
    failed = await performed(ledger, Outcome.UNVERIFIED, begun=5, ended=6)
    relapsed = await performed(ledger, Outcome.VERIFIED, begun=8, ended=9)
    again = Relapse(relapsed, "prod", "force-redeploy", "heal", (), seen_at=at(20))
    await ledger.note_relapse(again, now=at(20))
    request = by_policy()
    silent = await ledger.reserve(request, plan_for(request), owner="gone", lease=LEASE, now=at(30))
    await ledger.advance(silent.id, Phase.ACTING, owner="gone", lease=LEASE, now=at(30))
    await ledger.sweep(at(60))
    body = await told(ledger)
    assert [d.id for d in body.attention] == [silent.id, failed, relapsed]
    assert len(body.done) == 3
    text = to_markdown(body)
    assert text.index("## To look at") < text.index("## What was done")
    assert body.verdict.startswith("3 operations to look at; ")


async def test_what_waits_for_a_person(ledger: Ledger) -> None:
    """Plans, breakers, targets that may be another Restate, and pauses that end soon."""
    asked = by_policy(mode=Mode.APPROVE)
    plan = await ledger.propose(asked, plan_for(asked), owner="me", now=at(580))
    strange = decided(HoldReason.IDENTITY_CHANGED, target="lab", detail="the cluster was a")
    await ledger.note_changes([strange], now=at(300))
    for hours, name in ((2, "soon"), (48, "later"), (None, "open")):
        ends = None if hours is None else END + timedelta(hours=hours)
        await ledger.pause("target", name, owner="mira", reason="look", now=at(1), expires_at=ends)
    gone = await ledger.pause("global", "", owner="ben", reason="", now=at(1))
    await ledger.unpause([gone.id], actor="ben", now=at(2))
    breaker = OpenBreaker(
        BreakerName("prod", "force-redeploy"), "heal", "prod", "force-redeploy", "2 failed", None
    )
    body = await told(ledger, Known(("prod", "lab"), (breaker,)))
    waiting = body.waiting
    assert [p.id for p in waiting.proposals] == [plan.id]
    assert waiting.breakers is not None
    assert [b.breaker for b in waiting.breakers] == ["target:prod:force-redeploy"]
    assert [(s.target, s.detail) for s in waiting.identities] == [("lab", "the cluster was a")]
    assert [p.what for p in waiting.pauses] == ["target soon", "target open"]
    assert "3 waiting for a person" in body.verdict
    assert f"`restate-medic approve {plan.id}`" in to_markdown(body)
    assert "`restate-medic accept lab`" in to_markdown(body)


async def test_a_rehearsal_and_a_refusal_are_not_what_was_done(ledger: Ledger) -> None:
    """Each has its own place."""
    rehearsed = by_policy(mode=Mode.OBSERVE)
    await ledger.rehearse(rehearsed, plan_for(rehearsed), now=at(1))
    await ledger.refuse(by_person(), reason="foreign", message="it is not ours", now=at(2))
    await ledger.record_answered(by_person(remedy="doctor"), now=at(3))
    body = await told(ledger)
    assert body.done == ()
    assert [d.outcome for d in body.rehearsed] == [Outcome.OBSERVED]
    assert [d.error for d in body.not_done] == ["foreign: it is not ours"]


async def test_a_young_ledger_says_since_when_it_knows(tmp_path: Path) -> None:
    """It never says that nothing was wrong where nobody looked."""
    async with ledger_at(tmp_path) as ledger:
        empty = await told(ledger)
        assert empty.verdict == "nothing is known: the ledger is empty"
        assert empty.knows_since is None
        await ledger.note_changes([decided(HoldReason.PENDING)], now=at(590))
        await ledger.note_changes([decided(None)], now=at(590))
        await ledger.acquire("1/1", holder="me", length=LEASE)
        young = await told(ledger, reach=timedelta(hours=24))
    assert young.knows_since == "2026-11-02T12:50:00.000Z"
    assert "The ledger knows nothing of the time before 2026-11-02 12:50:00Z." in young.notes


async def test_a_night_in_which_nobody_acted_is_no_quiet_night(tmp_path: Path) -> None:
    """Neither when it never was watched, nor when the one that did was silent for a while."""
    async with ledger_at(tmp_path) as ledger:
        await ledger.note_changes([decided(HoldReason.PENDING)], now=END - 2 * NIGHT)
        await ledger.note_changes([decided(None)], now=END - 2 * NIGHT)
        body = await told(ledger)
        assert [(g.since, g.until) for g in body.unattended] == [(None, None)]
        assert body.verdict == (
            "nothing wrong was seen; 2 targets configured, but nobody acts for them now"
        )
        await ledger.acquire("1/1", holder="me", length=timedelta(0))
        (gap,) = (await told(ledger)).unattended
        assert gap.since is not None
        assert gap.until is None


async def test_policies_that_cannot_be_loaded_leave_breakers_unknown(ledger: Ledger) -> None:
    """Unknown is not none."""
    body = await told(ledger, Known(("prod",), None))
    assert body.waiting.breakers is None
    assert "nobody knows which breakers are open" in to_markdown(body)


async def hostile(ledger: Ledger) -> ReportBody:
    await ledger.note_changes(
        [decided(HoldReason.PENDING, item=HOSTILE, detail=HOSTILE)], now=at(1)
    )
    await ledger.refuse(by_person(), reason="no", message=HOSTILE, now=at(2))
    await ledger.pause("global", "", owner=HOSTILE, reason=HOSTILE, now=at(3))
    return await told(ledger)


async def test_hostile_text_is_text_in_every_format(ledger: Ledger) -> None:
    """No markup, no new line, nothing invisible; and no secret in any of them."""
    body = await hostile(ledger)
    page, text, message = to_html(body), to_markdown(body), to_message(body)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(line.startswith("# h") for line in text.splitlines())
    assert "\u202e" not in text + page
    for written in (page, text, message.text, json.dumps(body.as_json())):
        assert "key_abcdefghijkl" not in written
        assert "REDACTED" in written


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("", "` `"),
        ("a\nb", "`a b`"),
        ("a``b`c", "```a``b`c```"),
    ],
)
def test_a_name_is_code_whatever_is_in_it(given: str, written: str) -> None:
    """Its own ticks do not end it."""
    assert code(given) == written


def test_free_text_is_no_markup() -> None:
    """Neither Markdown's nor HTML's."""
    assert escaped("<b> & *x* [y](z) `c` _d_ e_f") == (
        r"&lt;b&gt; &amp; \*x\* \[y\](z) \`c\` \_d\_ e_f"
    )


async def test_a_page_loads_nothing(ledger: Ledger) -> None:
    """No script, no image, no style sheet, nothing from elsewhere."""
    page = to_html(await hostile(ledger))
    for word in ("<link", "<img", "<script", " src=", " href=", "url(", "@import"):
        assert word not in page
    assert "default-src 'none'" in page


async def test_many_lines_are_cut_and_said(ledger: Ledger) -> None:
    """In Markdown and in a message; JSON has all."""
    changes = [decided(HoldReason.PENDING, item=f"wf_{n:03}" + "x" * 90) for n in range(80)]
    await ledger.note_changes(changes, now=at(1))
    body = await told(ledger)
    assert len(body.wrong) == 80
    assert "and 30 more, which `--format json` has" in to_markdown(body)
    message = to_message(body)
    assert len(message.text) < 2_500
    assert "more: restate-medic audit report" in message.text
    assert message.kind == "report"


async def test_an_entry_of_an_earlier_version_tells_no_time_to_heal(ledger: Ledger) -> None:
    """What is not known is not made up."""
    await performed(ledger, Outcome.VERIFIED, begun=5, ended=6)
    body = await told(ledger)
    assert body.done[0].heal_seconds is None
    assert body.heal is None


def test_the_body_is_camel_case_for_programs() -> None:
    """As everything else that is answered."""
    fields: dict[str, Any] = ReportBody.model_json_schema()["properties"]
    assert {"knowsSince", "notDone", "unattended", "waiting"} <= fields.keys()


async def test_what_no_policy_looks_at_is_not_called_well(ledger: Ledger) -> None:
    """What was wrong is what policies saw; a target without any may have been down all night."""
    off = policy(name="off", mode="off")
    targets = ONE, replace(ONE, name="lab")
    body = await gather(ledger, targets=targets, policies=(off,), since=END - NIGHT, now=END)
    assert body.unjudged == ("prod", "lab")
    assert body.verdict == (
        "nothing wrong was seen; 2 targets watched, and no policy says what is wrong there"
    )
    assert "No policy looks at prod, lab: what was wrong there is not in here." in body.notes
    looks = policy(name="looks", targets="{names: [prod]}")
    body = await gather(ledger, targets=targets, policies=(looks,), since=END - NIGHT, now=END)
    assert body.unjudged == ("lab",)
    assert body.verdict == "nothing wrong was seen; 2 targets watched"
