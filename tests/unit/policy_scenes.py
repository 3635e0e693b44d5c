"""Small scenes for the policy tests: a target, what was read of it, a policy, the world around."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from textwrap import dedent, indent

from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Decision, Mode, Subject, Waiting
from exporter.model.derive import derive
from exporter.model.operation import Usage
from exporter.model.orders import Pause
from exporter.model.report import Reading, Report
from exporter.model.target import Target, Worker
from exporter.model.views import (
    AdminView,
    Deployment,
    DeploymentsView,
    Discovery,
    DriftView,
    Handler,
    IngressView,
    InvocationsView,
    Reachable,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from exporter.policy.alarms import Alarms
from exporter.policy.breaker import Failure
from exporter.policy.clock import Suspicion
from exporter.policy.decide import decide
from exporter.policy.document import read_document
from exporter.policy.parse import parse
from exporter.policy.policy import Policy
from exporter.policy.storm import Others
from exporter.policy.world import LastManual, OpenOperation, Proposal, Refusal, World

NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
URL = "http://w1:9080/"
OTHER_URL = "http://w2:9080/"
WORKER = Worker(URL, ("Greeter", "Counter"))
OTHER_WORKER = Worker(OTHER_URL, ("Mailer",))
ONE = Target("prod", workers=(WORKER,))
TWO = Target("prod", workers=(WORKER, OTHER_WORKER))


def shape(name: str) -> ServiceShape:
    return ServiceShape(name, "service", (Handler("run"),))


def views(
    target: Target = ONE,
    *,
    missing: Iterable[str] = (),
    reachable: Reachable = "yes",
    created_at: datetime = NOW,
) -> dict[Component, View]:
    """What every probe sees when all is well, except for services that are not registered."""
    gone = set(missing)
    deployments, services, found = [], [], []
    for number, worker in enumerate(target.workers):
        ident, names = f"dp_{number}", tuple(n for n in worker.services if n not in gone)
        if names:
            deployments.append(Deployment(ident, worker.url, "http", created_at, names))
        services += [Service(shape(name), ident, 1) for name in names]
        found.append(
            Discovery(
                worker.url,
                "http",
                reachable,
                ident if names else None,
                bool(names),
                tuple(map(shape, worker.services)),
                tuple(map(shape, names)),
            )
        )
    return {
        Component.INGRESS: IngressView(frozenset(s.name for s in services)),
        Component.ADMIN: AdminView("1.7.12"),
        Component.DEPLOYMENTS: DeploymentsView(tuple(deployments)),
        Component.SERVICES: ServicesView(tuple(services)),
        Component.INVOCATIONS: InvocationsView(
            (), (), frozenset(d.id for d in deployments), 0.1, completed=()
        ),
        Component.DRIFT: DriftView(tuple(found)),
    }


def report(
    seen: Mapping[Component, View],
    *,
    at: datetime = NOW,
    read_at: Mapping[Component, datetime] | None = None,
    failed: Mapping[Component, Reason] | None = None,
    target: Target = ONE,
    retry_after: timedelta | None = None,
) -> Report:
    """A report of these views, read at ``at``; ``failed`` ones have a reason and no view."""
    readings = {}
    for component, view in seen.items():
        started = (read_at or {}).get(component, at)
        reason = (failed or {}).get(component)
        readings[component] = Reading(
            component,
            reason.status if reason else Status.OK,
            started,
            started,
            target.intervals[component],
            view=None if reason else view,
            reason=reason,
            retry_after=retry_after if reason else None,
        )
    return Report(target.name, readings)


def policies(text: str) -> tuple[Policy, ...]:
    """Policies from YAML, which must be right."""
    found = parse(read_document(dedent(text)), "policies/test.yaml")
    assert found.problems == []
    return tuple(found.policies)


def policy(
    when: str = "size(services.missing) > 0", more: str = "", *, name: str = "p", **changes: str
) -> Policy:
    """One enforcing policy with a condition; ``more`` adds YAML lines, ``changes`` replace keys."""
    keys = {
        "name": name,
        "mode": "enforce",
        "when": f"'{when}'",
        "action": "{force-redeploy: {}}",
        "cooldown": "15m",
        "limits": "[{scope: target, max: 3, per: 24h}]",
    } | changes
    lines = "\n".join(f"{key}: {value}" for key, value in keys.items() if value)
    body = indent(f"{lines}\n{dedent(more)}", "    ")
    (found,) = policies(f"policies:\n  -\n{body}")
    return found


def world(  # a default for each field, so that a test names only what it is about
    *,
    ledger_ok: bool = True,
    usage: Usage | None = None,
    max_mode: Mode = Mode.ENFORCE,
    open_operations: Mapping[str, OpenOperation] | None = None,
    waiting: Mapping[Subject, Waiting] | None = None,
    refusals: Mapping[Subject, Refusal] | None = None,
    failures: Iterable[Failure] = (),
    pauses: tuple[Pause, ...] = (),
    manual: LastManual | None = None,
    clock: Suspicion | None = None,
    identity: str | None = None,
    others: Others | None = None,
    holder: str | None = None,
    proposal: Proposal | None = None,
    alarms: Alarms | None = None,
) -> World:
    bad = tuple(failures)

    def usage_of(
        _policy: str, _target: str, _remedy: str, _items: tuple[str, ...], _mode: Mode, /
    ) -> Usage:
        assert ledger_ok, "the ledger was asked although it is unavailable"
        return usage or Usage()

    return World(
        ledger_ok=ledger_ok,
        usage=usage_of,
        max_mode=max_mode,
        open_operations=open_operations or {},
        waiting=waiting or {},
        refusals=refusals or {},
        pauses=pauses,
        manual=manual,
        clock=clock,
        identity=identity,
        proposal=lambda _subject: proposal,
        owned=holder is None,
        holder=holder or "",
        others=lambda _policy: others or Others(),
        failures=lambda target, _remedy: tuple(f for f in bad if f.target == target),
        failures_of=lambda name: tuple(f for f in bad if f.policy == name),
        alarms=alarms,
    )


def decisions(
    rules: Policy | Iterable[Policy],
    seen: Report,
    around: World | None = None,
    *,
    target: Target = ONE,
    now: datetime = NOW,
) -> tuple[Decision, ...]:
    rows = (rules,) if isinstance(rules, Policy) else tuple(rules)
    findings = derive(seen, target, now=now)
    return decide(rows, target, seen, findings, around or world(), now=now, explain=True)


def decision(
    rule: Policy,
    seen: Report,
    around: World | None = None,
    *,
    target: Target = ONE,
    now: datetime = NOW,
) -> Decision:
    (found,) = decisions(rule, seen, around, target=target, now=now)
    return found
