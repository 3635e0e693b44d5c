"""What is wrong with policies that only the targets can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from exporter.model.decision import Mode
from exporter.model.duration import format_duration
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.policy import Policy
from exporter.policy.words import did_you_mean, listing


def problems_against(
    policies: tuple[Policy, ...],
    targets: tuple[Target, ...],
    supported: Mapping[str, frozenset[str]],
    notifiers: Collection[str] = (),
) -> list[str]:
    """One line for every problem; ``supported`` names the remedies each target's backend has."""
    problems: list[str] = []
    for policy in policies:
        matched = [t for t in targets if policy.matches(t)]
        problems += _selector(policy, targets, matched)
        problems += _notifiers(policy, sorted(notifiers))
        for target in matched:
            problems += _remedy(policy, target, supported.get(target.name, frozenset()))
            problems += _components(policy, target)
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


def _notifiers(policy: Policy, known: list[str]) -> Iterator[str]:
    """Names that are no notifier, and a policy that would tell all of none."""
    none = "; add notifiers: {ops: {webhook: {file: PATH}}} to the configuration"
    to = policy.arguments.get("to") if not policy.mends else None
    for path, names in (("notify", policy.notify), ("action.notify.to", to or ())):
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or (f"; write {listing(known)}" if known else none)
                yield f"{policy.at(path)}: {path}: {name!r} is not a notifier{hint}"
    if not policy.mends and to is None and not known and policy.mode is Mode.ENFORCE:
        yield f"{policy.at('action')}: action: there is no notifier to tell{none}"


def _remedy(policy: Policy, target: Target, supported: frozenset[str]) -> Iterator[str]:
    place = policy.at("action")
    if policy.action not in supported:
        yield (
            f"{place}: action: target {target.name!r} does not support {policy.action}; "
            "leave it out with targets"
        )
    fixed = policy.for_each is not None or "url" in policy.arguments
    if ACTIONS[policy.action].takes_worker and not fixed and len(target.workers) != 1:
        count = f"{len(target.workers)} workers" if target.workers else "no worker"
        yield (
            f"{place}: action: {policy.action} needs a worker, and target {target.name!r} has "
            f"{count}; add for_each: workers, or write url"
        )


def _components(policy: Policy, target: Target) -> Iterator[str]:
    for component in sorted(policy.condition.components):
        interval = target.intervals.get(component)
        if interval is None:
            yield (
                f"{policy.at('when')}: when: {component} is not read on target {target.name!r}; "
                "leave it out of the condition, or the target out with targets"
            )
        elif policy.mends and policy.verify.within < interval:
            yield (
                f"{policy.at('verify.within')}: verify.within: {component} is read every "
                f"{format_duration(interval)} on target {target.name!r}, so nothing could be "
                f"verified within {format_duration(policy.verify.within)}; write more than "
                f"{format_duration(interval)}"
            )
