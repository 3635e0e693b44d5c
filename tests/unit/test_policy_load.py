"""Every mistake in a policy file has its place and its mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from zoneinfo import ZoneInfo

import pytest

from exporter.model.component import Component
from exporter.model.decision import Mode
from exporter.model.errors import ConfigurationError
from exporter.model.operation import Budget, Window
from exporter.model.target import Target
from exporter.policy.breaker import Breaker
from exporter.policy.check import check
from exporter.policy.load import check_against, load_policies, read_policies
from exporter.policy.policy import Selector, Verify
from exporter.policy.served import Served
from exporter.policy.storm import Storm
from exporter.policy.windows import DayWindow
from tests.unit.policy_scenes import ONE, TWO, policies, policy

GOOD = """\
policies:
  - name: good
    when: size(services.missing) > 0
    action: {force-redeploy: {}}
    cooldown: 15m
    limits: [{scope: target, max: 3, per: 24h}]
"""
Problems = Callable[[str | bytes], list[str]]


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """Load one file, and return what is wrong with it."""

    def load(text: str | bytes) -> list[str]:
        data = text if isinstance(text, bytes) else dedent(text).encode()
        (tmp_path / "x.yaml").write_bytes(data)
        return list(read_policies(["x.yaml"], base=tmp_path).problems)

    return load


def test_a_policy_is_what_the_file_says() -> None:
    """Every key arrives where it is used, durations as durations, text as text."""
    (rule,) = policies("""
        policies:
          - name: all-of-it
            mode: enforce
            targets: {names: ["22:00"], labels: {tier: critical}}
            for_each: workers
            when: size(item.missing) > 0
            for: 2m
            action: {cleanup-stale-deployments: {drained_for: 1d, max_items: 3}}
            cooldown: 15m
            limits: [{scope: item, max: 0, per: forever}, {scope: policy, max: 10, per: 1h}]
            verify: {within: 20m, healthy_for: 1m}
            storm: {max_unhealthy: 12.5%, at_least: 2, at_most: 3, max_items: 4}
            breaker: {failed: 3, per: 1h, reset: 30m}
            windows: [{days: [sat, sun], start: 22:00, end: "24:00", timezone: Europe/Berlin}]
    """)
    assert (rule.name, rule.mode, rule.for_each) == ("all-of-it", Mode.ENFORCE, "workers")
    assert rule.selector == Selector(("22:00",), {"tier": "critical"})
    assert rule.for_ == timedelta(minutes=2)
    assert rule.action == "cleanup-stale-deployments"
    assert rule.arguments == {"drained_for": timedelta(days=1), "max_items": 3}
    windows = (Window("item", 0, None), Window("policy", 10, timedelta(hours=1)))
    assert rule.budget == Budget(timedelta(minutes=15), windows)
    assert rule.verify == Verify(timedelta(minutes=20), timedelta(minutes=1))
    assert rule.storm == Storm(Fraction(1, 8), 2, 3, 4)
    assert rule.breaker == Breaker(3, timedelta(hours=1), timedelta(minutes=30))
    (window,) = rule.windows
    assert window == DayWindow(frozenset({5, 6}), time(22), None, ZoneInfo("Europe/Berlin"))
    assert rule.place == "policies/test.yaml:3:5"
    assert rule.at("verify.healthy_for") == rule.at("verify") == "policies/test.yaml:12:13"


def test_what_is_left_out_has_its_default() -> None:
    """A policy without a mode only observes."""
    (rule,) = policies(GOOD)
    assert (rule.mode, rule.for_, rule.verify) == (Mode.OBSERVE, timedelta(0), Verify())
    assert rule.arguments == {"stable_for": timedelta(seconds=30)}
    assert rule.storm == Storm(Fraction(2, 5), 1, 20, 20)
    assert (rule.windows, rule.breaker) == ((), Breaker(2, timedelta(hours=24), None))


def test_the_revision_follows_the_meaning_not_the_text() -> None:
    """Comments, order and quotes change nothing; a number does."""
    (rule,) = policies(GOOD)
    same = "# text\n\n" + GOOD.replace("24h", '"24h"').replace("15m", "15m  # enough")
    assert policies(same)[0].revision == rule.revision
    assert policies(GOOD.replace("24h", "1d"))[0].revision == rule.revision
    assert policies(GOOD.replace("max: 3", "max: 4"))[0].revision != rule.revision


def window(inside: str, column: int, said: str) -> tuple[str, str, str, str]:
    """One window, and where in it what is wrong."""
    return ("name: good", f"name: good\n    windows: [{{{inside}}}]", f"3:{column}", said)


def alerts(entry: str, column: int, said: str) -> tuple[str, str, str, str]:
    """One entry of block_on_alerts, and where in it what is wrong."""
    return ("name: good", f"name: good\n    block_on_alerts: ['{entry}']", f"3:{column}", said)


CASES = {
    "unknown key": ("cooldown: 15m", "coolodwn: 15m", "5:5", "did you mean 'cooldown'?"),
    "missing key": ("    cooldown: 15m\n", "", "2:5", "cooldown: is missing; write cooldown: 15m"),
    "scope": ("scope: target", "scope: tarjet", "6:22", "write item, target or policy"),
    "negative": ("max: 3", "max: -3", "6:35", "-3 is too small; write 0 or more"),
    "float": ("max: 3", "max: 3.5", "6:35", "must be a whole number"),
    "bool": ("max: 3", "max: true", "6:35", "must be a whole number"),
    "zero": ("24h", "0s", "6:43", "'0s' is no time at all"),
    "unit": ("24h", "24", "6:43", "24 is not a duration"),
    "too long": ("24h", "99999d", "6:43", "longer than ten years"),
    "no limits": ("[{scope: target, max: 3, per: 24h}]", "[]", "6:13", "limits: is empty"),
    "limit text": ("[{scope: target, max: 3, per: 24h}]", "3", "6:13", "must be a list"),
    "item": ("scope: target", "scope: item", "6:22", "'item' needs for_each"),
    "name": ("name: good", 'name: "a b"', "2:11", "'a b' is not a name"),
    "number": ("name: good", "name: 12", "2:11", "must be text"),
    "mode": ("name: good", "name: good\n    mode: on", "3:11", "'on' is not a mode"),
    "empty": ("name: good", "name: good\n    targets:", "3:5", "targets: is empty"),
    "selects": ("name: good", "name: good\n    targets: {}", "3:14", "write names or labels"),
    "storm": ("name: good", "name: good\n    storm: 40%", "3:12", "must be a mapping"),
    "share": ("name: good", "name: good\n    storm: {max_unhealthy: 40}", "3:28", "such as 40%"),
    "part": ("name: good", "name: good\n    storm: {max_unhealthy: 101%}", "3:28", "to 100%"),
    "order": ("name: good", "name: good\n    storm: {at_least: 21}", "3:12", "larger at_most"),
    "storm items": ("name: good", "name: good\n    storm: {max_items: 0}", "3:24", "1 or more"),
    "breaker": ("name: good", "name: good\n    breaker: 1", "3:14", "must be a mapping"),
    "failed": ("name: good", "name: good\n    breaker: {failed: 0}", "3:23", "write 1 or more"),
    "reset": ("name: good", "name: good\n    breaker: {reset: never}", "3:22", "or manual"),
    "breaker key": ("name: good", "name: good\n    breaker: {max: 1}", "3:15", "write failed"),
    "windows": ("name: good", "name: good\n    windows: []", "3:14", "windows: is empty"),
    "no days": window('start: "22:00", end: "05:00", timezone: UTC', 15, "days: [mon, tue]"),
    "day": window('days: [Monday], start: "22:00", end: "05:00", timezone: UTC', 23, "write mon"),
    "no day": window('days: [x], start: "22:00", end: "05:00", timezone: UTC', 23, "mon, tue"),
    "days none": window('days: [], start: "22:00", end: "05:00", timezone: UTC', 22, "is empty"),
    "start": window('days: [mon], start: 9:00, end: "05:00", timezone: UTC', 36, '"09:00"'),
    "hour": window('days: [mon], start: "25:00", end: "05:00", timezone: UTC', 36, "to 23:59"),
    "whole hour": window('days: [mon], start: 22, end: "05:00", timezone: UTC', 36, '"22:00"'),
    "start 24": window('days: [mon], start: "24:00", end: "05:00", timezone: UTC', 36, "to 23"),
    "same": window('days: [mon], start: "05:00", end: "05:00", timezone: UTC', 15, "end 24:00"),
    "no zone": window('days: [mon], start: "22:00", end: "05:00"', 15, "Europe/Berlin"),
    "zone": window(
        'days: [mon], start: "22:00", end: "05:00", timezone: Europe/Berln', 69, "Europe/Berlin"
    ),
    "offset": window('days: [mon], start: 22:00, end: 05:00, timezone: "+01:00"', 65, "or UTC"),
    "alerts": ("name: good", "name: good\n    block_on_alerts: []", "3:22", "is empty; write"),
    "no alerts": ("name: good", "name: good\n    block_on_alerts: x", "3:22", "must be a list"),
    "alert": alerts("severity=critical urgent", 42, "a comma between two matchers"),
    "no label": alerts('="critical"', 24, "a label's name is missing"),
    "no sign": alerts("severity", 33, "after severity write =, !=, =~ or !~"),
    "no value": alerts("severity=", 34, "write a value in quotes"),
    "no quote": alerts('severity="critical', 33, "a quote is never closed"),
    "no brace": alerts('{severity="critical"', 45, "{ is never closed"),
    "any alert": alerts("{}", 24, "matches every alert"),
    "pattern": alerts('a="b", severity=~"crit("', 42, "is no regular expression: missing )"),
    "alert variable": alerts('target="$traget"', 32, "did you mean 'target'?"),
    "own alerts": alerts('generated_by="restate-medic"', 38, "own alerts never block"),
    "notify twice": ("name: good", "name: good\n    notify: [x, x]", "3:13", "names 'x' twice"),
    "notify none": ("name: good", "name: good\n    notify: []", "3:13", "write notify: [ops]"),
    "for zero": ("name: good", "name: good\n    for: 0m", "3:10", "is no time at all"),
    "verify": (
        "name: good",
        "name: good\n    verify: {within: 10s, healthy_for: 10s}",
        "3:13",
        "write a longer within",
    ),
    "each": ("name: good", "name: good\n    for_each: worker", "3:15", "did you mean 'workers'?"),
    "kind": ("name: good", "name: good\n    for_each: deployments", "3:15", "write workers"),
    "action": ("force-redeploy:", "force-redploy:", "4:14", "did you mean 'force-redeploy'?"),
    "two": ("{force-redeploy: {}}", "{force-redeploy: {}, notify: {}}", "4:13", "more than one"),
    "none": ("{force-redeploy: {}}", "{}", "4:13", "action: is empty"),
    "plain": ("{force-redeploy: {}}", "force-redeploy", "4:13", "action: {force-redeploy: {}}"),
    "argument": ("redeploy: {}", "redeploy: {ulr: 1}", "4:31", "did you mean 'url'?"),
    "drain": (
        "force-redeploy: {}",
        "cleanup-stale-deployments: {force_drain: true}",
        "4:41",
        "write max_kills beside it",
    ),
    "items": (
        "force-redeploy: {}",
        "cleanup-stale-deployments: {max_items: 0}",
        "4:53",
        "write 1 or more",
    ),
    "url": ("redeploy: {}", "redeploy: {url: w1}", "4:36", "is not a service URL"),
    "double url": (
        "action: {force-redeploy: {}}",
        'for_each: workers\n    action: {force-redeploy: {url: "http://w1/"}}',
        "5:31",
        "leave url or for_each out",
    ),
    "twice": ("cooldown: 15m", "name: better", "5:5", "written twice, first in line 2"),
    "tag": ("15m", "!minutes 15", "5:15", "leave the tag out"),
    "merge": ("cooldown: 15m", "<<: {cooldown: 15m}", "5:5", "<< is not supported"),
    "key": ("cooldown: 15m", "15: m", "5:5", "a key must be text"),
    "variable": ("services.missing", "services.mising", "3:16", "did you mean 'services.missing'?"),
}


@pytest.mark.parametrize(("old", "new", "place", "said"), CASES.values(), ids=CASES)
def test_each_mistake_has_its_place_and_mend(
    problems: Problems, old: str, new: str, place: str, said: str
) -> None:
    """Line and column are those of the very key or value, and the text says what to write."""
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(p.startswith(f"x.yaml:{place}: ") and said in p for p in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("policies: [\n", "2:1: is not YAML", id="syntax"),
        pytest.param(b"\tpolicies: []", "1:1: is not YAML: found a tab", id="tab"),
        pytest.param("- a\n- b\n", "1:1: a policy file is a mapping", id="list"),
        pytest.param("policies", "1:1: a policy file is a mapping", id="text"),
        pytest.param("a: 1\n", "policies: is missing", id="other-mapping"),
        pytest.param("policies: {a: 1}", "1:11: policies: must be a list", id="mapping"),
        pytest.param("policies: [1]", "1:12: policies[0]: must be a mapping", id="numbers"),
        pytest.param("policies: []\n---\npolicies: []", "another document", id="two-documents"),
        pytest.param("a: &a [*a]", "contains itself", id="cycle"),
        pytest.param("policies: *nobody", "1:11: is not YAML", id="no-anchor"),
        pytest.param(b"policies: \xff", "1:11: is not UTF-8", id="latin-1"),
        pytest.param(b"a: \x00", "1:4: holds a character", id="nul"),
        pytest.param("[" * 5000, "nested too deeply", id="deep"),
        pytest.param("# " + "x" * 128_000, "is larger than 128000 bytes", id="large"),
    ],
)
def test_what_is_no_policy_file_is_refused_with_one_line(
    problems: Problems, text: str | bytes, said: str
) -> None:
    """Anything that is not a policy file gives a problem, never a crash."""
    found = problems(text)
    assert len([p for p in found if said in p]) == 1, found


def test_aliases_work_but_do_not_explode(problems: Problems) -> None:
    """An anchor may be used again; a file that expands without bound is refused."""
    used = GOOD.replace("15m", "&wait 15m").replace("24h", "*wait")
    assert problems(used) == []
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    (found,) = problems(bomb)
    assert "more than 20000 values" in found


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "policies:\n", "policies: []\n"])
def test_a_file_without_policies_is_fine_but_noted(tmp_path: Path, text: str) -> None:
    """Nothing to do is no mistake, but worth a word."""
    (tmp_path / "x.yaml").write_text(text)
    loaded = read_policies(["*.yaml"], base=tmp_path)
    assert (loaded.policies, loaded.problems) == ((), ())
    assert loaded.notes == ("x.yaml: has no policies",)


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    """One run shows everything there is to mend."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("max: 3", "max: x").replace("15m", "x"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("scope: target", "scope: x"))
    with pytest.raises(ConfigurationError) as caught:
        load_policies(["*.yaml"], base=tmp_path)
    assert [p.split(":")[0] for p in caught.value.problems] == ["a.yaml", "a.yaml", "b.yaml"]


def test_one_name_is_one_policy(tmp_path: Path) -> None:
    """A name that is used twice is refused with both places."""
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    (found,) = read_policies([tmp_path], base=tmp_path).problems
    assert found.startswith("b.yaml:2:11: ")
    assert "a.yaml:2:11" in found


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, a pattern for nothing and a thing that is no file are problems."""
    loaded = read_policies(["none.yaml", "no/*.yaml", "/dev/null"], base=tmp_path)
    assert len(loaded.problems) == 3
    assert any("none.yaml:1:1: cannot be read" in p for p in loaded.problems)
    assert any("no/*.yaml: matches no file" in p for p in loaded.problems)
    assert any("/dev/null:1:1: is not a file" in p for p in loaded.problems)


def test_no_secret_is_repeated(problems: Problems) -> None:
    """A password in a URL is refused, and not printed."""
    found = problems(GOOD.replace("redeploy: {}", 'redeploy: {url: "http://me:s3cret@w1/"}'))
    assert "write the URL without them" in found[0]
    assert "s3cret" not in "".join(found)


def test_the_limits_over_everything_end_each_budget(tmp_path: Path) -> None:
    """They are checked with the policy's own, in the same transaction."""
    (tmp_path / "a.yaml").write_text(GOOD)
    everything = Window("global", 20, timedelta(hours=1))
    (rule,) = load_policies(["a.yaml"], base=tmp_path, limits=(everything,))
    assert rule.budget.windows[-1] == everything


BUILT = {"prod": Served.all_of(["force-redeploy", "cleanup-stale-deployments"])}


@pytest.mark.parametrize(
    ("targets", "changes", "said"),
    [
        pytest.param((ONE,), {"targets": "{names: [prd]}"}, "mean 'prod'?", id="name"),
        pytest.param((ONE,), {"targets": "{labels: {a: b}}"}, "matches {a: b}", id="labels"),
        pytest.param((TWO,), {}, "has 2 workers; add for_each", id="several-workers"),
        pytest.param((Target("prod"),), {}, "has no worker; add for_each", id="no-worker"),
        pytest.param(
            (replace(ONE, name="old"),), {}, "does not support force-redeploy", id="unsupported"
        ),
        pytest.param(
            (ONE,), {"verify": "{within: 10s, healthy_for: 1s}"}, "every 15s", id="within"
        ),
        pytest.param(
            (replace(ONE, intervals={Component.ADMIN: timedelta(seconds=15)}),),
            {},
            "services is not read on target 'prod'",
            id="off",
        ),
    ],
)
def test_what_only_targets_can_tell(
    targets: tuple[Target, ...], changes: dict[str, str], said: str
) -> None:
    """A policy that could not work on a target it selects is refused when it is loaded."""
    with pytest.raises(ConfigurationError) as caught:
        check_against([policy(**changes)], targets, BUILT)
    (found,) = caught.value.problems
    assert said in found
    assert found.startswith("policies/test.yaml:")


def test_policies_that_fit_their_targets_pass() -> None:
    """A worker from for_each, from the argument, or the only one."""
    for target, changes in (
        (ONE, {}),
        (TWO, {"for_each": "workers"}),
        (TWO, {"action": '{force-redeploy: {url: "http://w1:9080"}}'}),
    ):
        check_against([policy(**changes)], [target], BUILT)


def test_a_check_shows_what_was_loaded_beside_what_is_wrong(tmp_path: Path) -> None:
    """The table has each policy with its targets."""
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("policies: 3")
    found = check(["*.yaml"], targets=(ONE, Target("other")), served=BUILT, base=tmp_path)
    (row,) = found.rows
    assert (row.policy.name, row.targets) == ("good", ("prod", "other"))
    assert len(found.problems) == 3
    assert found.files == ("a.yaml", "b.yaml")
