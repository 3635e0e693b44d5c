"""Policies in force, as the API tells them."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model.decision import Mode
from exporter.model.duration import format_duration
from exporter.model.redact import redact_text
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.wire.body import facts
from exporter.wire.policies import (
    BreakerRuleBody,
    LimitBody,
    PolicyBody,
    StormBody,
    VerifyBody,
)


def policy_body(policy: Policy, targets: Iterable[Target], *, max_mode: Mode) -> PolicyBody:
    """One policy, under the mode that it may not exceed, and the targets it is about."""
    return PolicyBody(
        name=policy.name,
        revision=policy.revision,
        mode=policy.mode_under(max_mode),
        written_mode=policy.mode,
        targets=tuple(sorted(t.name for t in targets if policy.matches(t))),
        for_each=policy.for_each,
        when=redact_text(policy.condition.source),
        for_=format_duration(policy.for_),
        remedy=policy.action,
        arguments=facts(policy.arguments),
        cooldown=format_duration(policy.budget.cooldown),
        limits=tuple(
            LimitBody(
                scope=window.scope,
                max=window.max,
                per=None if window.per is None else format_duration(window.per),
            )
            for window in policy.budget.windows
        ),
        verify=VerifyBody(
            within=format_duration(policy.verify.within),
            healthy_for=format_duration(policy.verify.healthy_for),
        ),
        breaker=BreakerRuleBody(
            failed=policy.breaker.failed,
            per=format_duration(policy.breaker.per),
            reset=None if policy.breaker.reset is None else format_duration(policy.breaker.reset),
        ),
        storm=StormBody(
            max_unhealthy=f"{float(policy.storm.max_unhealthy * 100):g}%",
            at_least=policy.storm.at_least,
            at_most=policy.storm.at_most,
            max_items=policy.storm.max_items,
        ),
        windows=tuple(map(str, policy.windows)),
        notify=policy.notify,
        place=redact_text(policy.place),
    )
