"""What changed since the last round: who stands otherwise now, and who is not there any more."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model.decision import Decision, Result, Subject

Standing = tuple[str, str]
CLEAR: Standing = (str(Result.CLEAR), "")
"""How a subject stands that was never heard of."""


def gone(known: Iterable[Subject], decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """A clear decision on whoever was decided about before and is not any more.

    ``known`` and ``decisions`` are of one target, all of them. Items of a list that cannot be read
    now are not gone, only unknown.
    """
    decisions = tuple(decisions)
    present = {d.subject for d in decisions}
    unread = {s.policy for s in present if s.item is None}
    unread -= {d.subject.policy for d in decisions if d.result is Result.CLEAR}
    return tuple(
        Decision(subject, Result.CLEAR, detail="it is gone")
        for subject in known
        if subject not in present
        if subject.item is None or subject.policy not in unread
    )


class Changes:
    """How every subject stood in its target's last round. Only who is not clear takes room."""

    def __init__(self) -> None:
        self._standing: dict[str, dict[Subject, Standing]] = {}

    def gone(self, target: str, decisions: Iterable[Decision]) -> tuple[Decision, ...]:
        """``gone``, of those who were not clear in the last round."""
        return gone(self._standing.get(target, {}), decisions)

    def take(self, target: str, decisions: Iterable[Decision]) -> tuple[Decision, ...]:
        """Remember a round, ``gone`` included, and return the decisions that changed."""
        decisions = tuple(decisions)
        standing = self._standing.setdefault(target, {})
        changed = tuple(d for d in decisions if standing.get(d.subject, CLEAR) != d.standing)
        standing |= {d.subject: d.standing for d in decisions}
        self._standing[target] = {s: word for s, word in standing.items() if word != CLEAR}
        return changed

    def forget(self, target: str) -> None:
        """Drop a target that is no longer configured, or is another one."""
        self._standing.pop(target, None)
