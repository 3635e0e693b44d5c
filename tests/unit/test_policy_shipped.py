"""The policies that are shipped, and the schema that editors use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Told

from exporter.cli.root import app
from exporter.model.carry import carry_over
from exporter.model.component import Component
from exporter.model.decision import Mode, Result
from exporter.model.target import Target
from exporter.model.views import (
    Deployment,
    DeploymentsView,
    DriftView,
    FailedRun,
    InvocationGroup,
    InvocationItem,
    InvocationsView,
    Reachable,
)
from exporter.policy.actions import ACTIONS
from exporter.policy.check import check
from exporter.policy.load import load_policies
from exporter.policy.policy import Policy
from exporter.policy.schema_json import policy_schema, schema_text
from exporter.policy.served import Served
from exporter.simulate.schema_json import schema_for_tests_text
from tests.support import logging_as_it_was
from tests.unit.policy_scenes import NOW, ONE, TWO, URL, decisions, report, views, world

FOLDER = Path(__file__).parents[2] / "policies"
SHIPPED = {rule.name: rule for rule in load_policies([FOLDER])}
BUILT = dict.fromkeys(["prod", "bare"], Served.all_of(ACTIONS))


def at_once(name: str) -> Policy:
    return replace(SHIPPED[name], mode=Mode.ENFORCE, for_=timedelta(0))


def test_the_shipped_policies_load_and_fit_every_kind_of_target() -> None:
    """With one worker, several, or none configured, nothing is refused."""
    for target in (ONE, TWO, replace(ONE, name="bare", workers=())):
        found = check([FOLDER], targets=(target,), served=BUILT)
        assert (found.problems, found.notes) == ((), ())


def test_no_shipped_policy_writes_by_itself() -> None:
    """Nobody's Restate is written to because of a file that came with the package."""
    modes = {name: rule.mode for name, rule in SHIPPED.items() if rule.mode is not Mode.OBSERVE}
    assert modes == {
        "drain-ghost-deployments": Mode.APPROVE,
        "purge-old-completed-invocations": Mode.OFF,
    }


def test_only_proposals_may_kill(tmp_path: Path) -> None:
    """Enforcing the policy that kills is refused, whoever edits it."""
    text = (FOLDER / "ghost-deployments.yaml").read_text()
    (tmp_path / "x.yaml").write_text(text.replace("mode: approve", "mode: enforce"))
    (problem,) = check([tmp_path]).problems
    assert "approve at most" in problem


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.name)
def test_a_shipped_policy_says_when_it_is_safe(path: Path) -> None:
    """Its comment says what it does, why its limits, and when to enforce it."""
    text = path.read_text()
    for word in ("# The condition", "# The limits", "# Safe to enforce when"):
        if word == "# The condition" and "unregistered" in path.name:
            continue
        assert word in text or word.replace("when", "once") in text


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_policy_leaves_a_healthy_target_alone(name: str) -> None:
    """All is well: clear."""
    found = decisions(at_once(name), report(views(TWO), target=TWO), target=TWO)
    assert {one.result for one in found} == {Result.CLEAR}


def test_missing_services_are_found() -> None:
    """A worker that was rolled with a new service, and one that was never registered."""
    seen = report(views(missing=["Counter"]))
    (found,) = decisions(at_once("re-register-missing-services"), seen)
    assert (found.result, found.subject.item) == (Result.ACT, URL)
    gone = report(views(missing=["Greeter", "Counter"]))
    (found,) = decisions(at_once("register-unregistered-worker"), gone)
    assert found.result is Result.ACT
    dead = report(views(missing=["Greeter", "Counter"], reachable="no"))
    for name in ("re-register-missing-services", "register-unregistered-worker"):
        assert decisions(at_once(name), dead)[0].result is Result.CLEAR


def test_drift_is_found_unless_it_would_hurt() -> None:
    """More services: act. Fewer: a person's."""
    seen = views(missing=["Counter"])
    first = report(seen)
    drift = seen[Component.DRIFT]
    assert isinstance(drift, DriftView)
    carried = carry_over(first, ONE, now=NOW)
    second = report(seen, at=NOW + timedelta(minutes=1))
    again = replace(second, carried=carried)
    now = NOW + timedelta(minutes=1)
    again = replace(second, carried=carry_over(again, ONE, now=now))
    rule = at_once("re-register-drifted-worker")
    assert decisions(rule, again, now=now)[0].result is Result.ACT
    (found,) = drift.discoveries
    less = replace(found, discovered=found.registered[:0])
    hurt = report({**seen, Component.DRIFT: DriftView((less,))}, at=now)
    hurt = replace(hurt, carried=carried)
    assert decisions(rule, hurt, now=now)[0].result is Result.CLEAR


def test_drained_deployments_are_cleaned_up_when_they_pile_up() -> None:
    """Six that are ours: act. Five, or foreign ones: clear."""
    rule = at_once("clean-up-drained-deployments")

    def found(count: int, service: str = "Greeter") -> Result:
        seen = views()
        now = seen[Component.DEPLOYMENTS]
        assert isinstance(now, DeploymentsView)
        old = [
            Deployment(f"dp_old{n}", f"http://old{n}/", "http", NOW, (service,))
            for n in range(count)
        ]
        seen[Component.DEPLOYMENTS] = DeploymentsView((*now.items, *old))
        return decisions(rule, report(seen), world())[0].result

    assert (found(6), found(5), found(9, "Strange")) == (Result.ACT, Result.CLEAR, Result.CLEAR)


def test_dead_deployments_are_proposed_while_what_replaced_them_lives() -> None:
    """A ghost of ours: a plan. Foreign, protected, alive, or a worker that is away too: nothing."""
    rule = at_once("drain-ghost-deployments")

    def found(
        service: str = "Greeter",
        *,
        reachable: Reachable = "no",
        worker: Reachable = "yes",
        pinned: int = 3,
        target: Target = ONE,
    ) -> Result:
        seen = views(target, reachable=worker)
        deployments, drift = seen[Component.DEPLOYMENTS], seen[Component.DRIFT]
        assert isinstance(deployments, DeploymentsView)
        assert isinstance(drift, DriftView)
        old = Deployment("dp_old", "http://old/", "http", NOW, (service,), {"by": "operator"})
        gone = replace(drift.discoveries[0], url=old.url, reachable=reachable, deployment_id=old.id)
        group = InvocationGroup(old.id, service, "service", "paused", None, pinned, NOW, NOW)
        seen |= {
            Component.DEPLOYMENTS: DeploymentsView((*deployments.items, old)),
            Component.DRIFT: DriftView((*drift.discoveries, replace(gone, latest=False))),
            Component.INVOCATIONS: InvocationsView((group,), (), frozenset({"dp_0"}), 0.1),
        }
        return decisions(rule, report(seen, target=target), target=target)[0].result

    assert found() is Result.ACT
    protected = replace(ONE, protected_metadata={"by": "operator"})
    for left_alone in (
        found("Strange"),
        found(reachable="yes"),
        found(reachable="unknown"),
        found(worker="no"),
        found(worker="unknown"),
        found(pinned=0),
        found(target=protected),
    ):
        assert left_alone is Result.CLEAR


def test_what_no_remedy_mends_is_told() -> None:
    """Zombies that have lain for a while, and any journal that does not fit its code."""
    then = NOW - timedelta(minutes=6)
    zombie = InvocationItem("inv_1", "Plain", "service", None, "run", "dp_gone", then, then)

    def found(name: str, **changes: Any) -> list[Result]:
        seen = views()
        seen[Component.INVOCATIONS] = InvocationsView((), (), frozenset(), 0.1, **changes)
        return [d.result for d in decisions(at_once(name), report(seen))]

    zombies = tuple(replace(zombie, id=f"inv_{n}") for n in range(30))
    acts = found("tell-of-zombies", zombies=zombies)
    assert acts.count(Result.ACT) == 20
    assert found("tell-of-zombies", zombies=(replace(zombie, modified_at=NOW),)) == [Result.CLEAR]
    assert found("tell-of-journal-mismatch", journal_mismatch_count=1) == [Result.ACT]
    assert found("tell-of-journal-mismatch", zombies=zombies) == [Result.CLEAR]


def test_old_successes_are_forgotten_however_many_there_are() -> None:
    """A week old: a hundred at a time. Younger, failed or ended by somebody: left alone."""
    rule = at_once("purge-old-completed-invocations")
    night = NOW.replace(hour=23)
    then = night - timedelta(days=8)
    one = InvocationItem(
        "inv_1", "Plain", "service", None, "run", "dp_0", then, then, result="success"
    )

    def found(*items: InvocationItem) -> list[Result]:
        seen = views()
        seen[Component.INVOCATIONS] = InvocationsView((), (), frozenset(), 0.1, completed=items)
        return [d.result for d in decisions(rule, report(seen, at=night), now=night)]

    assert found(*(replace(one, id=f"inv_{n}") for n in range(500))) == [
        *[Result.ACT] * 100,
        *[Result.HOLD] * 400,
    ]
    for left_alone in (
        replace(one, modified_at=night - timedelta(days=6)),
        replace(one, result="error"),
        replace(one, result="killed"),
    ):
        assert found(left_alone) == [Result.CLEAR]


def test_failed_keys_are_recovered_unless_somebody_ended_them() -> None:
    """An old failure: act. A fresh, killed or blocked one: left alone."""
    rule = at_once("recover-failed-workflow-keys")

    def found(error: str = "[500] no", minutes: int = 11, siblings: int = 0) -> Result:
        then = NOW - timedelta(minutes=minutes)
        run = FailedRun("inv_1", "Flow", "k", "run", then, then, error, siblings)
        seen = views()
        seen[Component.INVOCATIONS] = InvocationsView((), (), frozenset(), 0.1, failed_runs=(run,))
        return decisions(rule, report(seen))[0].result

    assert found() is Result.ACT
    for left_alone in (found("[409] killed"), found(minutes=9), found(siblings=1)):
        assert left_alone is Result.CLEAR


def test_paused_invocations_are_resumed_unless_code_or_a_person_paused_them() -> None:
    """Used-up retries: act, five at a time. By hand, RT0016, just now: left alone."""
    rule = at_once("resume-paused-invocations")
    then = NOW - timedelta(minutes=6)
    one = InvocationItem(
        "inv_1", "Plain", "service", None, "run", "dp_0", then, then, paused_by="retries"
    )

    def found(*items: InvocationItem) -> list[Result]:
        seen = views()
        seen[Component.INVOCATIONS] = InvocationsView((), (), frozenset(), 0.1, paused=items)
        return [d.result for d in decisions(rule, report(seen))]

    assert found(*(replace(one, id=f"inv_{n}") for n in range(7))) == [
        *[Result.ACT] * 5,
        *[Result.HOLD] * 2,
    ]
    for left_alone in (
        replace(one, paused_by="manual"),
        replace(one, error_code="RT0016"),
        replace(one, modified_at=NOW),
    ):
        assert found(left_alone) == [Result.CLEAR]


def test_the_schema_file_is_current() -> None:
    """Editors see what this version takes, and ``policy schema`` prints exactly that."""
    assert (FOLDER / "policy.schema.json").read_text() == schema_text()
    assert (FOLDER / "tests.schema.json").read_text() == schema_for_tests_text()
    with logging_as_it_was():
        assert CliRunner().invoke(app, ["policy", "schema"]).stdout == schema_text()
        told = CliRunner().invoke(app, ["policy", "schema", "--tests"])
    assert told.stdout == schema_for_tests_text()


def schema_check(schema: Path, files: Iterable[Path]) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--schemafile", str(schema), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("inside", "kind"), [("", "policy"), ("tests", "tests")])
def test_shipped_files_fit_the_schema_that_they_name(inside: str, kind: str) -> None:
    """An editor finds it from the first line, and marks nothing in them as wrong."""
    files = sorted((FOLDER / inside).glob("*.yaml"))
    for path in files:
        first, _, _ = path.read_text().partition("\n")
        named = first.removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / named).resolve() == FOLDER / f"{kind}.schema.json"
    done = schema_check(FOLDER / f"{kind}.schema.json", files)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("missing: []", "mising: []"),
        ("component_unknown", "component_unkown"),
        ("services: timeout", "service: timeout"),
        ('reachable: "yes"', "reachable: 1"),
        ("for: 5m", "for: 5"),
        ("{workers:", "{worker:"),
        ("outcome: verified", "outcome: veryfied"),
    ],
)
def test_the_schema_of_tests_finds_mistakes(tmp_path: Path, right: str, wrong: str) -> None:
    """So an editor marks them before ``policy test`` is run."""
    text = (FOLDER / "tests" / "missing-services.yaml").read_text()
    assert right in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(right, wrong, 1))
    assert schema_check(FOLDER / "tests.schema.json", [path]).returncode == 1


def test_the_schema_knows_what_the_loader_knows() -> None:
    """Its keys, actions and modes are the loader's; nothing more may be written."""
    schema = json.loads(json.dumps(policy_schema()))
    rule = schema["$defs"]["PolicyModel"]
    assert rule["additionalProperties"] is False
    assert set(rule["required"]) == {"name", "when", "action", "cooldown"}
    assert rule["if"]["properties"]["action"] == {"anyOf": [{"required": ["notify"]}]}
    assert rule["else"] == {"required": ["limits"]}
    assert rule["properties"]["mode"]["enum"] == ["off", "observe", "approve", "enforce"]
    actions = [name for one in rule["properties"]["action"]["oneOf"] for name in one["required"]]
    assert actions == list(ACTIONS)


def copied(*arguments: str) -> Told:
    with logging_as_it_was():
        return CliRunner().invoke(app, ["policy", "copy", *arguments])


def test_copies_are_the_shipped_files_and_can_be_loaded(tmp_path: Path) -> None:
    """All of them, their tests, and the schemas that an editor finds beside them."""
    folder = tmp_path / "etc" / "policies"
    told = copied(str(folder))
    assert told.exit_code == 0, told.stderr
    wanted = [*FOLDER.glob("*.yaml"), *FOLDER.glob("*.schema.json"), *FOLDER.glob("tests/*.yaml")]
    names = sorted(path.relative_to(FOLDER) for path in wanted)
    assert [Path(line).relative_to(folder) for line in told.stdout.splitlines()] == names
    for name in names:
        assert (folder / name).read_bytes() == (FOLDER / name).read_bytes()
    assert {rule.name for rule in load_policies([folder])} == SHIPPED.keys()
    assert {rule.name for rule in load_policies([folder / "*.yaml"])} == SHIPPED.keys()


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    """What somebody changed stays as it is, and is told."""
    mine = tmp_path / "drift.yaml"
    mine.write_text("policies: []")
    told = copied(str(tmp_path))
    assert (told.exit_code, mine.read_text()) == (0, "policies: []")
    assert f"kept as it is: {mine}" in told.stderr.replace("\n", "")


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    """It says which, and what the system says."""
    (tmp_path / "file").write_text("")
    told = copied(str(tmp_path / "file" / "policies"))
    assert told.exit_code == 2
    assert "Not a directory" in told.stderr
