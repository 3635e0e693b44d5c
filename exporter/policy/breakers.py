"""Every breaker that is open now, over all policies and targets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from exporter.model.hold import HoldReason
from exporter.model.orders import BreakerName, OpenBreaker
from exporter.model.target import Target
from exporter.policy.breaker import Failure, opened
from exporter.policy.policy import Policy


def open_breakers(
    policies: Iterable[Policy],
    targets: Iterable[Target],
    *,
    failures: Callable[[str, str], Iterable[Failure]],
    failures_of: Callable[[str], Iterable[Failure]],
    now: datetime,
) -> Iterator[OpenBreaker]:
    """One for each policy that is stopped on a target, in the order of the policies.

    ``failures`` are those of a remedy on a target, ``failures_of`` those of a policy everywhere.
    """
    targets = tuple(targets)
    for policy in policies:
        if HoldReason.BREAKER_OPEN in policy.waives:
            continue
        for target in filter(policy.matches, targets):
            found = opened(
                policy.breaker,
                policy=policy.name,
                target=target.name,
                remedy=policy.action,
                here=failures(target.name, policy.action),
                of_policy=failures_of(policy.name),
                now=now,
            )
            if found is not None:
                name = BreakerName(target.name, policy.action)
                if found.everywhere:
                    name = BreakerName(policy=policy.name)
                what = policy.name, target.name, policy.action
                yield OpenBreaker(name, *what, found.sentence, found.until)
