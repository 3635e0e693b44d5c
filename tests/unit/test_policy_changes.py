"""Only what changed is told: who stands otherwise now, and who is not there any more."""

from __future__ import annotations

from exporter.model.decision import Decision, Result, Subject
from exporter.model.hold import HoldReason
from exporter.policy.changes import Changes

ONE, TWO = Subject("heal", "prod", "one"), Subject("heal", "prod", "two")
LIST = Subject("heal", "prod")


def act(subject: Subject) -> Decision:
    return Decision(subject, Result.ACT)


def hold(subject: Subject, reason: HoldReason = HoldReason.PENDING) -> Decision:
    return Decision(subject, Result.HOLD, reason)


def clear(subject: Subject) -> Decision:
    return Decision(subject, Result.CLEAR)


def test_each_change_is_told_once() -> None:
    """Another result or another reason; who is clear from the start is no change."""
    changes = Changes()
    assert changes.take("prod", [hold(ONE), clear(TWO)]) == (hold(ONE),)
    assert changes.take("prod", [hold(ONE), clear(TWO)]) == ()
    other = hold(ONE, HoldReason.COOLDOWN)
    assert changes.take("prod", [other, act(TWO)]) == (other, act(TWO))
    assert changes.take("prod", [clear(ONE), clear(TWO)]) == (clear(ONE), clear(TWO))


def test_who_is_gone_is_clear() -> None:
    """Where the list was read: items that are not in it any more."""
    changes = Changes()
    changes.take("prod", [hold(ONE), act(TWO)])
    (gone,) = changes.gone("prod", [act(TWO)])
    assert (gone.subject, gone.result, gone.detail) == (ONE, Result.CLEAR, "it is gone")
    assert {d.subject for d in changes.gone("prod", [clear(LIST)])} == {ONE, TWO}


def test_what_cannot_be_read_is_not_gone() -> None:
    """A list that is unknown says nothing of its items."""
    changes = Changes()
    changes.take("prod", [hold(ONE)])
    assert changes.gone("prod", [hold(LIST, HoldReason.COMPONENT_UNKNOWN)]) == ()
    changes.take("prod", [hold(LIST, HoldReason.COMPONENT_UNKNOWN)])
    assert {d.subject for d in changes.gone("prod", [act(ONE)])} == {LIST}


def test_targets_stand_alone_and_are_forgotten() -> None:
    """Another target's items are none of this one's; a forgotten one begins clear."""
    changes = Changes()
    changes.take("prod", [hold(ONE)])
    assert changes.gone("other", []) == ()
    changes.forget("prod")
    assert changes.gone("prod", []) == ()
    assert changes.take("prod", [hold(ONE)]) == (hold(ONE),)
