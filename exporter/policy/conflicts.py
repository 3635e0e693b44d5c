"""What is wrong with policies that only the targets can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.model.duration import format_duration
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.policy import Policy
from exporter.policy.served import Served, ServedRemedy
from exporter.policy.words import did_you_mean, listing


def problems_against(
    policies: tuple[Policy, ...],
    targets: tuple[Target, ...],
    served: Mapping[str, Served],
) -> list[str]:
    """One line for every problem; ``served`` is what each target's backend can do and tell."""
    problems: list[str] = []
    for policy in policies:
        matched = [t for t in targets if policy.matches(t)]
        problems += _selector(policy, targets, matched)
        for target in matched:
            here = served.get(target.name, Served())
            problems += _remedy(policy, target, here)
            problems += _variables(policy, target, here)
            problems += _components(policy, target, here)
    return problems


def _selector(policy: Policy, targets: tuple[Target, ...], matched: list[Target]) -> Iterator[str]:
    names = [t.name for t in targets]
    missing = [name for name in policy.selector.names if name not in names]
    for name in missing:
        hint = did_you_mean(name, names) or f"; write {listing(names)}" if names else ""
        yield f"{policy.at('targets.names')}: targets.names: {name!r} is not a target{hint}"
    selects = policy.selector.names or policy.selector.labels
    if selects and not matched and not missing:
        labels = ", ".join(f"{k}: {v}" for k, v in policy.selector.labels.items())
        yield (
            f"{policy.at('targets')}: targets: no target matches {{{labels}}}; "
            "write labels that a target has, or set the policy's targets by names"
        )


def _remedy(policy: Policy, target: Target, served: Served) -> Iterator[str]:
    place, how = policy.at("action"), served.remedies.get(policy.action)
    if how is None:
        yield (
            f"{place}: action: target {target.name!r} does not support {policy.action}; "
            "leave it out with targets"
        )
    else:
        yield from _limits(policy, target, how)
    fixed = policy.for_each is not None or "url" in policy.arguments
    if ACTIONS[policy.action].takes_worker and not fixed and len(target.workers) != 1:
        count = f"{len(target.workers)} workers" if target.workers else "no worker"
        yield (
            f"{place}: action: {policy.action} needs a worker, and target {target.name!r} has "
            f"{count}; add for_each: workers, or write url"
        )


def _limits(policy: Policy, target: Target, how: ServedRemedy) -> Iterator[str]:
    if policy.mode.rank > how.most.rank:
        yield (
            f"{policy.at('mode')}: mode: {policy.mode} is more than {policy.action} may have on "
            f"target {target.name!r}: {how.why}; write {how.most}, or leave the target out with "
            "targets"
        )
    for argument, why in how.cannot.items():
        path = f"action.{policy.action}.{argument}"
        if path in policy.places:
            yield (
                f"{policy.at(path)}: {path}: target {target.name!r} cannot do this: {why}; "
                "leave it out, or the target out with targets"
            )


def _variables(policy: Policy, target: Target, served: Served) -> Iterator[str]:
    for name in _never_known(policy, served):
        yield (
            f"{policy.at('when')}: when: {name} is never known on target {target.name!r}, which is "
            f"of kind {target.kind}; leave it out of the condition, or the target out with targets"
        )


def _never_known(policy: Policy, served: Served) -> list[str]:
    known = served.variables
    return [] if known is None else [n for n in policy.condition.names if n not in known]


def _components(policy: Policy, target: Target, served: Served) -> Iterator[str]:
    for component in sorted(policy.condition.components):
        interval = target.intervals.get(component)
        if interval is None and _never_known(policy, served):
            continue  # said of the variable
        if interval is None:
            yield (
                f"{policy.at('when')}: when: {component} is not read on target {target.name!r}; "
                "leave it out of the condition, or the target out with targets"
            )
        elif policy.verify.within < interval:
            yield (
                f"{policy.at('verify.within')}: verify.within: {component} is read every "
                f"{format_duration(interval)} on target {target.name!r}, so nothing could be "
                f"verified within {format_duration(policy.verify.within)}; write more than "
                f"{format_duration(interval)}"
            )
