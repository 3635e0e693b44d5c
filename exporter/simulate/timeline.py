"""What happened in a test, moment by moment: for its author, to see why, and what to expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from exporter.model.decision import Decision, Result
from exporter.model.duration import format_duration
from exporter.simulate.judge import DOES, EXACT, word_of
from exporter.simulate.run import Played
from exporter.simulate.spread import gather


def timeline(played: Played) -> tuple[str, ...]:
    """A line for each change: when, and how each policy stands then, or what begins and ends."""
    rows: list[tuple[timedelta, int, str]] = []
    before: dict[str, str] = {}
    for stand in played.stands:
        for policy, told in _standing(stand.decisions):
            if before.get(policy) != told:
                rows.append((stand.at, 0, f"{policy}: {told}"))
            before[policy] = told
    for at, deed in played.deeds:
        about = ", ".join(gather(deed.items)) or deed.target
        if deed.outcome is None:
            rows.append((at, 1, f"{deed.policy} begins to {DOES[deed.mode]} on {about}"))
        else:
            rows.append((at, 1, f"{deed.policy} ends on {about}: {deed.outcome}"))
    rows.sort(key=lambda row: row[:2])
    width = max((len(_at(at)) for at, _, _ in rows), default=0)
    return tuple(f"{_at(at):>{width}}  {text}" for at, _, text in rows)


def _standing(decisions: Iterable[Decision]) -> Iterator[tuple[str, str]]:
    """Each policy, and how it stands: ``clear``, or each other word with whom it is about."""
    by_policy: dict[str, dict[str, list[str]]] = {}
    for one in decisions:
        words = by_policy.setdefault(one.subject.policy, {})
        items = words.setdefault(word_of(one), [])
        if one.subject.item is not None:
            items.append(one.subject.item)
    for policy, words in by_policy.items():
        unclear = {word: items for word, items in words.items() if word != Result.CLEAR}
        yield (
            policy,
            "; ".join(
                f"{word} ({', '.join(gather(items))})" if items else word
                for word, items in (unclear or {str(Result.CLEAR): []}).items()
            ),
        )


def _at(at: timedelta) -> str:
    return format_duration(at, EXACT)
