"""Policy tests written in a test, read and played."""

from __future__ import annotations

from pathlib import Path

from exporter.simulate.judge import Difference, judge
from exporter.simulate.load import read_tests
from exporter.simulate.run import Played, play
from exporter.simulate.scenario import Scenario

HEAL = """\
  - name: heal
    mode: enforce
    for_each: workers
    when: size(item.missing) > 0
    for: 2m
    action: {force-redeploy: {}}
    cooldown: 15m
    limits: [{scope: target, max: 3, per: 24h}]
"""
TELL = """\
  - name: tell
    mode: enforce
    when: invocations.paused > 3
    action: {notify: {message: look}}
    cooldown: 1h
"""
RESUME = """\
  - name: resume
    mode: enforce
    for_each: invocations.paused
    when: item.resumes < 2 && item.age > duration("10m")
    action: {resume-invocations: {service: Billing, max_items: 5}}
    cooldown: 5m
    limits: [{scope: target, max: 9, per: 24h}]
    breaker: {failed: 9, per: 24h, reset: manual}
    verify: {within: 1m, healthy_for: 15s}
"""
MISSING = '{workers: {"http://w:9080/": {missing: [Billing]}}}'
FINE = '{workers: {"http://w:9080/": {missing: []}}}'


def written(folder: Path, test: str, policies: str = HEAL) -> Path:
    """A file of one test beside its policies; ``test`` is what stands below its name."""
    (folder / "rules.yaml").write_text(f"policies:\n{policies}")
    lines = "".join(f"    {line}\n" for line in test.strip().splitlines())
    path = folder / "test.yaml"
    path.write_text(f"policies: [rules.yaml]\ntests:\n  - name: one\n{lines}")
    return path


def scenario(folder: Path, test: str, policies: str = HEAL) -> Scenario:
    """The same, read."""
    found = read_tests(written(folder, test, policies), "test.yaml")
    assert found.problems == []
    return found.scenarios[0]


def played(folder: Path, test: str, policies: str = HEAL) -> Played:
    """The same, played."""
    return play(scenario(folder, test, policies))


def differing(folder: Path, test: str, policies: str = HEAL) -> tuple[Difference, ...]:
    """What differs from what the test expects."""
    one = scenario(folder, test, policies)
    return judge(one, play(one))
