"""What deciding costs: every policy on every target, beside evaluating the bare conditions.

Both run in this process, one after the other, on the same made-up fleet. Most pairs are clear, a
quarter hold for different reasons, and a few policies run over items. By hand:
``python -m tests.benchmarks.decide``.
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from exporter.daemon.run import settle_memory
from exporter.ledger.standing import Standing
from exporter.model.decision import Decision, Mode, Result, Subject, Waiting
from exporter.model.derive import derive
from exporter.model.findings import Findings
from exporter.model.operation import Usage
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.decide import decide
from exporter.policy.document import read_document
from exporter.policy.fleet_health import FleetHealth
from exporter.policy.parse import parse
from exporter.policy.policy import Policy
from exporter.policy.sight import Sight
from exporter.policy.world import World, waiting_of
from tests.benchmarks import synthetic

TARGETS = 1_000
AIM_US = 10.0
_ROUND = timedelta(seconds=15)
_CLEAR = (
    "size(services.missing) > 0",
    'ingress.status == "unreachable" && admin.status == "ok"',
    'invocations.status == "degraded" || invocations.retrying > 100',
    "deployments.ghost.exists(id, !(id in deployments.foreign))",
    'size(workers.unregistered) > 0 && admin.status == "ok"',
    "workflows.failed > 50",
    'invocations.oldest_paused > duration("24h")',
    "invocations.zombies > 0 || invocations.journal_mismatch > 0",
    "size(deployments.draining) > 40",
    "size(drift.dropped) > 0 || size(drift.type_changed) > 0",
    'target.kind == "dalp" && admin.age > duration("1h")',
    "size(services.unexposed) > 0",
)
_HELD: tuple[tuple[str, dict[str, object]], ...] = (
    ("invocations.paused > 0", {"for": "1h"}),
    ("workflows.failed > 0", {"mode": "observe"}),
    ("size(deployments.drained) > 0", {"for": "30m"}),
    ("invocations.suspended > 0", {"mode": "off"}),
    ("size(services.registered) == 2", {"limits": [{"scope": "policy", "max": 0, "per": "1h"}]}),
)
_EACH = (
    'size(item.missing) > 0 && item.reachable == "yes"',
    "!item.registered",
    "size(item.dropped) > 0",
)


@dataclass(frozen=True, slots=True)
class DecideResult:
    """Medians in microseconds of CPU a pair of policy and target; the aim is 10."""

    targets: int
    policies: int
    held: float
    """The share of decisions that hold."""
    pair_us: float
    evaluate_us: float
    """The bare conditions alone, their values bound once a target."""

    @property
    def ratio(self) -> float:
        """Deciding over evaluating: the same on a fast machine and on a busy one."""
        return self.pair_us / self.evaluate_us


def policies() -> tuple[Policy, ...]:
    """Twenty: twelve that are clear, five that hold, three over items."""
    rows: list[tuple[str, dict[str, object]]] = [
        *((when, {}) for when in _CLEAR),
        *_HELD,
    ]
    rows += [(when, {"for_each": "workers"}) for when in _EACH]
    limits = [
        {"scope": "target", "max": 3, "per": "24h"},
        {"scope": "policy", "max": 9, "per": "1h"},
    ]
    found = parse(
        read_document(
            json.dumps(
                {
                    "policies": [
                        {
                            "name": f"policy-{number}",
                            "mode": "enforce",
                            "when": when,
                            "action": {"force-redeploy": {}},
                            "cooldown": "15m",
                            "limits": limits,
                            **more,
                        }
                        for number, (when, more) in enumerate(rows)
                    ]
                }
            )
        ),
        "benchmark.yaml",
    )
    if found.problems:
        raise RuntimeError(f"{found.problems}")
    return tuple(found.policies)


class Fleet:
    """Made-up targets that are read and decided again and again, as rounds do it."""

    def __init__(self, targets: int) -> None:
        self.policies = policies()
        names = ("Orders", "Mail")
        self.targets = tuple(synthetic.target(f"t{n:04}", names) for n in range(targets))
        self._views = synthetic.views(names)
        self._health = FleetHealth()
        self._health.configure(self.policies, self.targets)
        self._standing = Standing()
        self._waiting: dict[str, dict[Subject, Waiting]] = {}
        self._now = synthetic.START
        self._seen: list[tuple[Target, Report, Findings]] = []
        self.decisions: list[tuple[Decision, ...]] = []

    def read(self) -> None:
        """A fresh reading of every target, a round later."""
        self._now += _ROUND
        reports = [synthetic.report(t, self._now, self._views) for t in self.targets]
        self._seen = [
            (target, report, derive(report, target, now=self._now))
            for target, report in zip(self.targets, reports, strict=True)
        ]

    def decide(self) -> float:
        """Decide everything; seconds."""
        worlds = [self._world(target.name) for target in self.targets]
        began = time.thread_time()
        self.decisions = [
            decide(self.policies, target, report, findings, world, now=self._now)
            for (target, report, findings), world in zip(self._seen, worlds, strict=True)
        ]
        seconds = time.thread_time() - began
        for target, decisions in zip(self.targets, self.decisions, strict=True):
            self._waiting[target.name] = waiting_of(decisions)
            held = (d.subject.policy for d in decisions if d.result is not Result.CLEAR)
            self._health.note(target, held, now=self._now)
        return seconds

    def evaluate(self) -> float:
        """Only evaluate the conditions on the same values; seconds."""
        began = time.thread_time()
        for _, _, findings in self._seen:
            sight = Sight(findings, (policy.condition for policy in self.policies))
            for policy in self.policies:
                for item in findings.items[policy.for_each] or () if policy.for_each else (None,):
                    sight.view(item).judge(policy.condition)
        return time.thread_time() - began

    @property
    def held(self) -> float:
        """The share of the decisions that hold."""
        results = Counter(d.result for decisions in self.decisions for d in decisions)
        return results[Result.HOLD] / results.total()

    def _world(self, target: str) -> World:
        return World(
            ledger_ok=True,
            usage=self._usage,
            waiting=self._waiting.get(target, {}),
            others=lambda policy: self._health.others(policy, target, now=self._now),
            failures=self._standing.failures,
            failures_of=self._standing.failures_of,
        )

    def _usage(
        self, policy: str, target: str, remedy: str, items: tuple[str, ...], mode: Mode
    ) -> Usage:
        return self._standing.usage(
            target=target, remedy=remedy, policy=policy, items=items, mode=mode
        )


def measure(targets: int = TARGETS, repeat: int = 5) -> DecideResult:
    """Several rounds of everything; the first one, which starts every waiting, does not count.

    CPU time, with the garbage collector set as the daemon sets it.
    """
    before = gc.get_threshold()
    settle_memory()
    try:
        return _measure(Fleet(targets), repeat)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _measure(fleet: Fleet, repeat: int) -> DecideResult:
    fleet.read()
    fleet.decide()
    deciding, evaluating = [], []
    for _ in range(repeat):
        fleet.read()
        deciding.append(fleet.decide())
        evaluating.append(fleet.evaluate())
    pairs = len(fleet.targets) * len(fleet.policies)
    return DecideResult(
        targets=len(fleet.targets),
        policies=len(fleet.policies),
        held=fleet.held,
        pair_us=median(deciding) * 1e6 / pairs,
        evaluate_us=median(evaluating) * 1e6 / pairs,
    )


def main() -> None:
    """Measure and print."""
    result = measure()
    print(f"deciding for {result.targets} targets x {result.policies} policies:")
    print(
        f"  a pair              {result.pair_us:8.1f} us (aim {AIM_US:g}), {result.held:.0%} hold"
    )
    print(f"  bare condition      {result.evaluate_us:8.1f} us, {result.ratio:.1f} times less")


if __name__ == "__main__":
    main()
