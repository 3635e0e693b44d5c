"""What a report says, line by line, before it is Markdown, HTML or a message. Pure.

A line is made of words of ours and of what came from elsewhere (``Quoted``), which each renderer
escapes in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from exporter.model.duration import format_duration
from exporter.report.verdict import counted
from exporter.wire.explain_words import when_text as when
from exporter.wire.report import DeedBody, HealBody, HeldBody, ReportBody, WaitingBody, WrongBody

MOST = 50
"""Lines of a section; JSON has all."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A name, or what somebody else wrote."""

    text: str
    name: bool = True
    """Whether it is a name or an id, rather than a sentence."""


Line: TypeAlias = tuple[str | Quoted, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it. ``more`` lines are left out."""

    title: str
    lines: tuple[Line, ...]
    more: int = 0


def lead(body: ReportBody) -> Iterator[Line]:
    """What stands above all sections: the time it is about, and what keeps it from being whole."""
    yield (f"From {when(body.since)} to {when(body.until)}.",)
    for note in body.notes:
        yield (note,)
    for gap in body.unattended:
        since = f"from {when(gap.since)}" if gap.since else "for how long, nobody knows,"
        until = f"until {when(gap.until)}" if gap.until else "until now"
        yield (
            f"Nobody acted for the targets {since} {until}: what was wrong then is not in here.",
        )
    if not any(section.lines for section in sections(body)):
        yield ("Nothing was done, nothing was held, and nothing waits for a person.",)


def sections(body: ReportBody) -> tuple[Section, ...]:
    """Those that have something to say, in the order in which they are to be read."""
    found = (
        _section("To look at", [_deed(deed) for deed in body.attention]),
        _section("Waiting for a person", list(_waiting(body.waiting))),
        _section("What was wrong", [_wrong(one) for one in body.wrong]),
        _section("What was done", [_deed(deed) for deed in body.done]),
        _section("Time to heal", [_heal(body.heal)] if body.heal else []),
        _section("What was held, and why", [_held(one) for one in body.held]),
        _section("What would have been done", [_deed(deed) for deed in body.rehearsed]),
        _section("Asked for, and not done", [_deed(deed) for deed in body.not_done]),
        _section(
            "Accepted as another Restate",
            [
                (Quoted(one.target), f" at {when(one.since)} by ", Quoted(one.accepted_by or ""))
                for one in body.accepted
            ],
        ),
    )
    return tuple(section for section in found if section.lines)


def length(seconds: float) -> str:
    """A length for people, in its two largest units."""
    whole = seconds if seconds < 1 else round(seconds)
    return format_duration(timedelta(seconds=whole))


def _section(title: str, lines: Sequence[Line]) -> Section:
    return Section(title, tuple(lines[:MOST]), max(0, len(lines) - MOST))


def _deed(deed: DeedBody) -> Line:
    word = str(deed.outcome or deed.phase)
    parts: list[str | Quoted] = [f"{when(deed.begun_at)} {word}: ", Quoted(deed.remedy)]
    if deed.target:
        parts += [" on ", Quoted(deed.target)]
    parts += [" by ", Quoted(deed.by)]
    if deed.approved_by:
        parts += [", approved by ", Quoted(deed.approved_by)]
    if deed.items:
        parts.append(f", {counted(deed.items, 'item')}")
    if deed.heal_seconds is not None:
        parts.append(f", healed in {length(deed.heal_seconds)}")
    if deed.relapsed_at:
        parts.append(f", broken again at {when(deed.relapsed_at)}")
    if deed.summary:
        parts += [": ", Quoted(deed.summary, name=False)]
    if deed.error:
        parts += ["; ", Quoted(deed.error, name=False)]
    return (*parts, " (", Quoted(deed.id), ")")


def _waiting(waiting: WaitingBody) -> Iterator[Line]:
    for plan in waiting.proposals:
        until = f", until {when(plan.expires_at)}" if plan.expires_at else ""
        what: Line = ("A plan for ", Quoted(plan.target), ": ", Quoted(plan.summary, name=False))
        yield (*what, f"{until}. ", Quoted(f"restate-medic approve {plan.id}"))
    for stopped in waiting.breakers or ():
        until = f"until {when(stopped.until)}" if stopped.until else "until somebody resets it"
        who: Line = (Quoted(stopped.policy), " is stopped on ", Quoted(stopped.target))
        yield (*who, f" {until}: ", Quoted(stopped.why, name=False))
    for stranger in waiting.identities:
        yield (
            *(Quoted(stranger.target), f" may be another Restate since {when(stranger.since)}: "),
            *(Quoted(stranger.detail, name=False), ". "),
            Quoted(f"restate-medic accept {stranger.target}"),
        )
    for pause in waiting.pauses:
        ends = f"ends at {when(pause.expires_at)}" if pause.expires_at else "ends only by hand"
        parts: Line = ("The pause of ", Quoted(pause.what), " by ", Quoted(pause.owner))
        yield (*parts, f" {ends}: ", Quoted(pause.reason, name=False))


def _wrong(wrong: WrongBody) -> Line:
    until = f"to {when(wrong.until)}" if wrong.until else "and still"
    told: Line = (*_subject(wrong.target, wrong.policy, wrong.item), ": ")
    unknown = "" if wrong.known else ", and nobody could tell whether it was"
    return (*told, f"from {when(wrong.since)} {until}, {length(wrong.seconds)}{unknown}")


def _held(held: HeldBody) -> Line:
    times = "" if held.times == 1 else f" in {held.times} times"
    now = ", now too" if held.holds_now else ""
    told: Line = (f"{length(held.seconds)}{times}{now}: ", Quoted(held.reason), " held ")
    subject = _subject(held.target, held.policy, held.item)
    return (*told, *subject, *((": ", Quoted(held.detail, name=False)) if held.detail else ()))


def _subject(target: str, policy: str, item: str | None) -> Line:
    about: Line = (Quoted(policy), " on ", Quoted(target))
    return about if item is None else (*about, ", ", Quoted(item))


def _heal(heal: HealBody) -> Line:
    worst = (f"at most {length(heal.worst_seconds)} (", Quoted(heal.worst), ")")
    return (f"{counted(heal.count, 'heal')}: {length(heal.median_seconds)} in the median, ", *worst)
