"""What the gates over alerts and silences cost a policy that comes as far as to ask them.

A thousand alerts fire and a hundred silences are in force; one entry of ``block_on_alerts`` is a
plain comparison, one a pattern with the target's name. By hand:
``python -m tests.benchmarks.alerts``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta

from exporter.model.operation import Usage
from exporter.model.target import Target
from exporter.policy.alarm_gates import alarm_verdicts
from exporter.policy.alarms import Alarms, Alert, Heard, Silence
from exporter.policy.document import read_document
from exporter.policy.matchers import parse_matchers
from exporter.policy.parse import parse
from exporter.policy.policy import Policy
from exporter.policy.world import World
from tests.benchmarks import synthetic

ALERTS, SILENCES, TARGETS = 1_000, 100, 1_000
_NOW = synthetic.START


@dataclass(frozen=True, slots=True)
class AlertsResult:
    """Microseconds of CPU."""

    index_us: float
    """Taking a reading in, once for everybody."""
    first_us: float
    """All three gates, for the first policy of a target that asks after a reading."""
    again_us: float
    """And for each other policy, and each round until the next reading."""


def policy() -> Policy:
    """One that asks."""
    row = {
        "name": "asks",
        "when": "size(services.missing) > 0",
        "action": {"force-redeploy": {}},
        "cooldown": "15m",
        "limits": [{"scope": "target", "max": 3, "per": "24h"}],
        "block_on_alerts": [
            'severity="critical", target="$target"',
            'severity="page", instance=~".*$target.*:9100"',
        ],
    }
    (found,) = parse(read_document(json.dumps({"policies": [row]})), "benchmark.yaml").policies
    return found


def firing() -> tuple[Alert, ...]:
    """Alerts that concern no target's policies, though a third of them name one."""
    rows = [
        {
            "alertname": f"Alert{number % 50}",
            "severity": ("critical", "page", "warning")[number % 3],
            "instance": f"host-{number}:9100",
            "job": "node",
        }
        for number in range(ALERTS)
    ]
    for number in range(2, ALERTS, 3):
        rows[number]["target"] = f"t{number:04}"
    return tuple(Alert(labels, _NOW) for labels in rows)


def silences() -> tuple[Silence, ...]:
    """Silences of other targets, one in ten by a pattern."""
    texts = (f'target{"=" if n % 10 else "=~"}"other-{n}"' for n in range(SILENCES))
    return tuple(
        Silence(str(n), tuple(p.matcher for p in parse_matchers(text)), "", "", _NOW)
        for n, text in enumerate(texts)
    )


def world(heard: Heard) -> World:
    """Only Alertmanager is in it."""
    return World(ledger_ok=True, usage=lambda *_: Usage(), alarms=Alarms(timedelta(1), heard))


def ask(rule: Policy, targets: list[Target], around: World) -> float:
    """Ask for every target; microseconds each."""
    began = time.thread_time()
    for target in targets:
        if any(verdict.holds for verdict in alarm_verdicts(rule, target, around, _NOW)):
            raise RuntimeError("something holds")
    return (time.thread_time() - began) * 1e6 / len(targets)


def measure(targets: int = TARGETS) -> AlertsResult:
    """The second of two readings: patterns of silences have met the targets' names before."""
    rule = policy()
    fleet = [synthetic.target(f"t{n:04}", ("Orders",)) for n in range(targets)]
    alerts, quiet = firing(), silences()
    ask(rule, fleet, world(Heard(_NOW, alerts, quiet)))
    began = time.thread_time()
    heard = Heard(_NOW, alerts, quiet)
    index_us = (time.thread_time() - began) * 1e6
    around = world(heard)
    return AlertsResult(index_us, ask(rule, fleet, around), ask(rule, fleet, around))


def main() -> None:
    """Measure and print."""
    result = measure()
    print(f"gates over {ALERTS} alerts and {SILENCES} silences, {TARGETS} targets:")
    print(f"  taking a reading in {result.index_us:8.1f} us")
    print(f"  first ask after it  {result.first_us:8.1f} us a target")
    print(f"  every other ask     {result.again_us:8.1f} us")


if __name__ == "__main__":
    main()
