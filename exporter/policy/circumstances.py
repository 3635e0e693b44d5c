"""The gates about the time and the people around a target, not about the target itself.

Most are asked twice: when a policy decides, and again before each write (``still_allowed``).
"""

from __future__ import annotations

from datetime import datetime

from exporter.model.decision import Verdict
from exporter.model.hold import HoldReason
from exporter.policy.case import PASSES, Case, held
from exporter.policy.policy import Policy
from exporter.policy.windows import is_open, opens_at


def outside_window(case: Case) -> Verdict:
    """It is not the time of day, or the day, at which the policy may act."""
    return _window(case.policy, case.now)


def forbidden(policy: Policy, *, now: datetime) -> Verdict | None:
    """Why a policy's operation that is under way may not write any more; None: it may."""
    verdicts = (_window(policy, now),)
    return next((v for v in verdicts if v.holds), None)


def _window(policy: Policy, now: datetime) -> Verdict:
    if is_open(policy.windows, now):
        return PASSES[HoldReason.OUTSIDE_WINDOW]
    shown = "; ".join(map(str, policy.windows))
    detail = f"only within {shown}"
    return held(HoldReason.OUTSIDE_WINDOW, detail, opens_at(policy.windows, now))
