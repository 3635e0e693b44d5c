"""What is wrong with policies that only the targets, or other policies, can tell. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

from exporter.model.decision import Mode
from exporter.model.duration import format_duration
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.blockers import missing_labels
from exporter.policy.fields import ANY
from exporter.policy.policy import Policy
from exporter.policy.served import Served, ServedRemedy
from exporter.policy.words import did_you_mean, listing

_Use = tuple[str, str]
"""A remedy and the list of items it works on."""
_OPPOSED: Mapping[_Use, frozenset[_Use]] = MappingProxyType(
    {
        ("resume-invocations", "invocations.paused"): frozenset(
            {
                ("cancel-invocations", "invocations.paused"),
                ("kill-invocations", "invocations.paused"),
            }
        ),
        # A failed run is listed twice: as the failure of its key, and as what has completed.
        ("recover-stuck-workflow", "workflows.failed"): frozenset(
            {("purge-invocations", "invocations.completed")}
        ),
    }
)


def problems_against(
    policies: tuple[Policy, ...],
    targets: tuple[Target, ...],
    served: Mapping[str, Served],
    notifiers: Collection[str] = (),
    *,
    alertmanager: bool = True,
) -> list[str]:
    """One line for every problem; ``served`` is what each target's backend can do and tell."""
    problems: list[str] = []
    for policy in policies:
        matched = [t for t in targets if policy.matches(t)]
        problems += _selector(policy, targets, matched)
        problems += _notifiers(policy, sorted(notifiers))
        problems += [] if alertmanager else _nobody_to_ask(policy)
        for target in matched:
            here = served.get(target.name, Served())
            problems += _labels(policy, target)
            problems += _remedy(policy, target, here)
            problems += _variables(policy, target, here)
            problems += _components(policy, target, here)
    pairs = combinations(policies, 2)
    return problems + [_told(found) for a, b in pairs if (found := overlap(a, b, targets))]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two policies with opposing remedies that may concern the same thing, in file order."""

    first: Policy
    second: Policy
    services: tuple[str, ...]
    """Those that both name; ``any`` alone when both are about every service."""
    targets: tuple[str, ...]


def overlap(first: Policy, second: Policy, targets: Iterable[Target]) -> Overlap | None:
    """Where two policies would undo each other's work; None when they cannot.

    Whether both conditions are ever true of one thing at once is not asked: nobody can tell.
    """
    if Mode.OFF in {first.mode, second.mode} or not _oppose(first, second):
        return None
    services = _in_common(first, second)
    common = tuple(t.name for t in targets if first.matches(t) and second.matches(t))
    return Overlap(first, second, services, common) if services and common else None


def _oppose(first: Policy, second: Policy) -> bool:
    """A list of items stands in the table with the remedies that pull at it in two directions."""
    pair = {(first.action, first.for_each), (second.action, second.for_each)}
    return any(pair == {one, other} for one, others in _OPPOSED.items() for other in others)


def _in_common(first: Policy, second: Policy) -> tuple[str, ...]:
    mine, yours = (p.arguments.get("service", (ANY,)) for p in (first, second))
    if mine == (ANY,):
        return tuple(yours)
    return tuple(mine) if yours == (ANY,) else tuple(name for name in mine if name in yours)


def _told(found: Overlap) -> str:
    first, second = found.first, found.second
    whose = "every service" if found.services == (ANY,) else listing(found.services, "and")
    return (
        f"{second.at('action')}: action: {second.action} of policy {second.name!r} opposes "
        f"{first.action} of policy {first.name!r} at {first.at('action')}: both are about {whose} "
        f"on {listing(map(repr, found.targets), 'and')}; write service lists that have "
        "nothing in common, other targets, or mode: off in one of them"
    )


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


def _nobody_to_ask(policy: Policy) -> Iterator[str]:
    if policy.block_on_alerts:
        yield (
            f"{policy.at('block_on_alerts')}: block_on_alerts: no Alertmanager is configured; add "
            "alertmanager: {url: http://HOST:9093} to the configuration"
        )


def _labels(policy: Policy, target: Target) -> Iterator[str]:
    for number, name in missing_labels(policy.block_on_alerts, target):
        yield (
            f"{policy.at('block_on_alerts')}: block_on_alerts[{number}]: target {target.name!r} "
            f"has no label {name!r}{did_you_mean(name, target.labels)}; add it to the target's "
            "labels, or leave the target out with targets"
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
    if served.lists is not None and policy.for_each not in {None, *served.lists}:
        yield (
            f"{policy.at('for_each')}: for_each: {policy.for_each} is never known on target "
            f"{target.name!r}, which is of kind {target.kind}; leave the target out with targets"
        )
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
        elif policy.mends and policy.verify.within < interval:
            yield (
                f"{policy.at('verify.within')}: verify.within: {component} is read every "
                f"{format_duration(interval)} on target {target.name!r}, so nothing could be "
                f"verified within {format_duration(policy.verify.within)}; write more than "
                f"{format_duration(interval)}"
            )
