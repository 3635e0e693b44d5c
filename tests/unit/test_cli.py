"""The command line: exit codes, what is for programs and what for people, and its help."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from exporter import __version__
from exporter.cli.output import Exit, exit_code_of
from exporter.cli.root import app
from exporter.model.component import Reason
from exporter.model.errors import (
    AmbiguousError,
    CallFailedError,
    ConfigurationError,
    InFlightError,
    LedgerUnavailableError,
    LimitReachedError,
    MedicError,
    NotFoundError,
    RefusedElsewhereError,
    RefusedError,
)
from exporter.model.operation import Outcome
from tests.support import logging_as_it_was
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, service
from tests.unit.fakes import Clock, by_person, by_policy, ledger_at, plan_for
from tests.unit.test_model_token import jwt

WORKER = "http://w:9080/"
POLICY = """\
policies:
  - name: heal
    mode: enforce
    when: size(services.missing) > 0
    for: 2m
    action: {force-redeploy: {url: http://w:9080}}
    cooldown: 15m
    limits: [{scope: target, max: 3, per: 24h}]
"""
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set."""
    for name in [name for name in os.environ if name.startswith("RESTATE_MEDIC_")]:
        monkeypatch.delenv(name)


class Folder:
    """A configuration and what lies beside it, and running commands on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "medic.yaml"

    def configure(self, url: str = NOWHERE, more: str = "", *, targets: int = 1) -> None:
        """One target (or several) at this URL, with one worker that brings Greeter."""
        entries = "".join(
            f"  - name: prod{number or ''}\n"
            f"    ingress_url: {url}\n"
            f"    admin_url: {url}{'/' * bool(number)}{number or ''}\n"
            f"    workers: [{{url: {WORKER}, services: [Greeter]}}]\n"
            for number in range(targets)
        )
        self.file.write_text(f"targets:\n{entries}timeout: 1s\n{more}")

    def policies(self, text: str = POLICY) -> None:
        (self.path / "policies").mkdir(exist_ok=True)
        (self.path / "policies" / "heal.yaml").write_text(text)

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        """Run one command at 80 columns; nothing may escape but its exit code."""
        command = [*arguments, "--config.file", str(self.file)]
        return invoke(*command, answer=answer)

    @property
    def ledger_exists(self) -> bool:
        return (self.path / "data").exists()


def invoke(*arguments: str, answer: str | None = None) -> Result:
    environment = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    with logging_as_it_was():
        result = CliRunner(env=environment).invoke(app, list(arguments), input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.configure()
    return made


@contextmanager
def serving(fake: FakeRestate) -> Iterator[str]:
    """A Restate in a thread of its own: commands bring their own event loop."""
    started: list[str] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with hostile.serving(fake.reply) as server:
            started.append(server.url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture
def restate() -> FakeRestate:
    """Healthy, with the worker and its service registered."""
    return FakeRestate()


@pytest.fixture
def running(folder: Folder, restate: FakeRestate) -> Iterator[Folder]:
    """A configuration whose target answers."""
    with serving(restate) as url:
        folder.configure(url)
        yield folder


# Help


def every_command() -> list[tuple[str, ...]]:
    """The whole tree, groups included."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*path, name))

    return list(below(typer.main.get_command(app), ()))


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_help_fits_into_eighty_columns(command: tuple[str, ...]) -> None:
    """Of every command: nothing cut off, no word broken, the reader's options in one piece."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in result.stdout
    words = [word for line in lines for word in line.split() if word.startswith("--")]
    assert all(not word.endswith(("-", ".", ",")) for word in words)
    assert "RESTATE_MEDIC_CONFIG_FILE" in result.stdout or "--config.file" not in result.stdout


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_help_reads_as_text(command: tuple[str, ...]) -> None:
    """Paragraphs are filled, names stand in capitals, and so do values; nothing has a type."""
    text = invoke(*command, "--help").stdout
    described = text.partition("╭")[0].strip().split("\n")
    usage, *lines = [line.strip() for line in described]
    assert "[[" not in usage
    assert "{" not in usage
    assert not [word for word in re.findall(r"\[([^\]]+)\]", usage) if not word.isupper()]
    for line, following in itertools.pairwise(lines):
        filled = not line or not following
        assert filled or len(line) + len(following.split()[0]) >= 75, (line, following)
    assert not re.findall(r"<(?:str|bool|int|list)[^>]*>", text)


def test_every_command_says_what_it_does() -> None:
    """Each has a first sentence of its own."""
    for command in every_command()[1:]:
        found: Any = typer.main.get_command(app)
        for name in command:
            found = found.commands[name]
        assert (found.help or "").strip().endswith("."), command


def test_the_version_is_told() -> None:
    """In one line, for bug reports."""
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"restate-medic {__version__}\n")


# Exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(["medic.yaml:1:1: no"]), Exit.USAGE),
        (CallFailedError(Reason.REFUSED, "no"), Exit.UNREACHABLE),
        (CallFailedError(Reason.HTTP_STATUS, "no"), Exit.UNREACHABLE),
        (CallFailedError(Reason.UNAUTHORIZED, "no"), Exit.UNHEALTHY),
        (LedgerUnavailableError("no"), Exit.UNREACHABLE),
        (RefusedError("not-latest", "no"), Exit.UNHEALTHY),
        (InFlightError("no", operation_id="op_1"), Exit.UNHEALTHY),
        (LimitReachedError("cooldown", "no"), Exit.UNHEALTHY),
        (AmbiguousError("no", matches=("a", "b")), Exit.UNHEALTHY),
        (NotFoundError("no", kind="target"), Exit.USAGE),
        (NotFoundError("no", kind="operation"), Exit.UNHEALTHY),
        (RefusedElsewhereError("not-latest", "no"), Exit.UNHEALTHY),
        (RefusedElsewhereError("admin-unreachable", "no"), Exit.UNREACHABLE),
        (MedicError("no"), Exit.UNHEALTHY),
    ],
)
def test_each_error_has_its_exit_code(error: MedicError, code: Exit) -> None:
    """1 unhealthy or refused, 2 configuration, 3 unreachable."""
    assert exit_code_of(error) is code


WITH_A_CONFIGURATION = [
    ("run", "--config.check"),
    ("doctor",),
    ("doctor", "--json"),
    ("redeploy", "--yes"),
    ("cleanup", "--dry-run"),
    ("policy", "check"),
    ("why", "Greeter"),
    ("redeploy", "--gate"),
    ("audit", "list"),
    ("audit", "show", "op_1"),
]


@pytest.mark.parametrize("command", WITH_A_CONFIGURATION, ids=" ".join)
def test_an_invalid_configuration_is_told_with_place_and_mend(
    folder: Folder, command: tuple[str, ...]
) -> None:
    """On stderr, one line a problem, exit 2; programs read nothing on stdout."""
    folder.configure(more="interval: 5\nmax_mod: off\n")
    result = folder.run(*command)
    assert result.exit_code == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{folder.file}:7:11: interval: 5 is not a duration; write a number")
    assert second.startswith(f"{folder.file}:8:1: max_mod: is not a key of the configuration; did")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("doctor", "--nonsense"),
        ("audit", "list", "--outcome", "good"),
        ("audit", "list", "--limit", "0"),
        ("redeploy", "--allow", "everything"),
        ("cleanup", "--max-items", "0"),
        ("audit", "show"),
    ],
)
def test_wrong_usage_is_exit_two(arguments: tuple[str, ...]) -> None:
    """A misspelt word is not silently something else."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


# run --config.check


def test_checking_a_good_configuration(folder: Folder) -> None:
    """It says what it found, and has started and created nothing."""
    folder.policies()
    result = folder.run("run", "--config.check")
    assert (result.exit_code, result.stdout) == (0, "ok: 1 target, 1 policy\n")
    assert not folder.ledger_exists


@pytest.mark.parametrize(
    ("more", "policy", "problem"),
    [
        ("", POLICY.replace("for:", "fro:"), "policies/heal.yaml:5:5: "),
        ("", POLICY.replace("size(", "length("), "policies/heal.yaml:4:"),
        ("", POLICY.replace("force-redeploy", "restart"), "policies/heal.yaml:6:"),
        ("policies: [none/*.yaml]\n", POLICY, "none/*.yaml: matches no file"),
        ("web_listen_address: here\n", POLICY, "7:21: web_listen_address: 'here' is not an addr"),
        ("storage: {url: 'mysql://h'}\n", POLICY, "7:16: storage.url: is no database"),
    ],
)
def test_checking_a_bad_configuration(folder: Folder, more: str, policy: str, problem: str) -> None:
    """Whatever would keep the daemon from running: exit 2, the place, the mend."""
    folder.configure(more=more)
    folder.policies(policy)
    result = folder.run("run", "--config.check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in result.stderr
    assert not folder.ledger_exists


def test_a_flag_that_is_wrong_is_named(folder: Folder) -> None:
    """Not the file, which says nothing about it."""
    result = folder.run("run", "--config.check", "--max-mode", "act")
    assert result.exit_code == 2
    assert result.stderr.startswith("command line: max_mode: 'act' is not possible; write 'off'")


# policy check


def test_policies_that_are_fine(folder: Folder) -> None:
    """Each with what it does and where it is, for people; names for programs."""
    folder.policies()
    result = folder.run("policy", "check")
    assert (result.exit_code, result.stderr) == (0, "")
    for word in ("heal", "enforce", "force-redeploy", "2m", "15m", "prod"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    told = json.loads(folder.run("policy", "check", "--json").stdout)
    assert told == {"policies": ["heal"], "problems": [], "notes": []}


def test_policies_that_are_not(folder: Folder) -> None:
    """Every problem with its place and mend: on stderr for people, in the JSON for programs."""
    folder.policies(POLICY.replace("cooldown: 15m", "cooldwn: 15m"))
    result = folder.run("policy", "check")
    assert result.exit_code == 2
    assert "policies/heal.yaml:7:5: " in result.stderr
    assert "did you mean 'cooldown'" in result.stderr
    parsed = folder.run("policy", "check", "--json")
    assert parsed.exit_code == 2
    assert parsed.stderr == ""
    problems = json.loads(parsed.stdout)["problems"]
    assert any(line.startswith("policies/heal.yaml:7:5: ") for line in problems)


def test_files_that_are_named_are_checked_instead(folder: Folder, tmp_path: Path) -> None:
    """Before they are put where the configuration looks."""
    folder.policies("policies: [nonsense]\n")
    other = tmp_path / "other.yaml"
    other.write_text(POLICY)
    result = folder.run("policy", "check", str(other), "--json")
    assert (result.exit_code, json.loads(result.stdout)["policies"]) == (0, ["heal"])
    assert folder.run("policy", "check", str(tmp_path / "none.yaml")).exit_code == 2


def test_a_policy_about_no_target_is_told(folder: Folder) -> None:
    """Only the configuration can tell: there is no such label."""
    folder.policies(POLICY.replace("    for: 2m\n", "    targets: {labels: {tier: one}}\n"))
    result = folder.run("policy", "check")
    assert result.exit_code == 2
    assert "policies/heal.yaml:5:" in result.stderr


# audit


async def fill(folder: Folder) -> list[str]:
    """Three operations; returns their ids, oldest first."""
    clock = Clock()
    data = folder.path / "data"
    data.mkdir()
    ids = []
    async with ledger_at(data) as ledger:
        for number, outcome in enumerate((Outcome.VERIFIED, Outcome.FAILED)):
            request = by_policy(f"heal-{number}")
            opened = await ledger.reserve(
                request,
                plan_for(request),
                owner="x",
                lease=timedelta(minutes=1),
                now=clock.advance(60),
            )
            await ledger.finish(
                opened.id,
                outcome,
                owner="x",
                now=clock.advance(5),
                after={"deploymentId": "dp_[bold]2"},
                error="it broke [here]" if outcome is Outcome.FAILED else None,
            )
            ids.append(opened.id)
        refused = await ledger.refuse(
            by_person(), reason="not-latest", message="no", now=clock.advance(60)
        )
        ids.append(refused.id)
    return ids


@pytest.fixture
def filled(folder: Folder) -> tuple[Folder, list[str]]:
    return folder, asyncio.run(fill(folder))


def test_the_newest_operations_come_first(filled: tuple[Folder, list[str]]) -> None:
    """With who, what and how it ended; JSON has the whole rows."""
    folder, ids = filled
    result = folder.run("audit", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    places = [result.stdout.index(found) for found in reversed(ids)]
    assert places == sorted(places)
    for word in ("verified", "failed", "refused", "policy:heal-0", "mira", "2026-11-02 03:01:00Z"):
        assert word in result.stdout
    rows = json.loads(folder.run("audit", "list", "--json").stdout)
    assert [row["id"] for row in rows] == ids[::-1]
    assert rows[1]["error"] == "it broke [here]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--outcome", "failed"), [1]),
        (("--policy", "heal-0"), [0]),
        (("--target", "prod", "--limit", "2"), [2, 1]),
        (("--remedy", "cleanup-stale-deployments"), []),
        (("--target", "elsewhere"), []),
    ],
)
def test_operations_can_be_chosen(
    filled: tuple[Folder, list[str]], arguments: tuple[str, ...], expected: list[int]
) -> None:
    """By target, policy, remedy and outcome; none is no error."""
    folder, ids = filled
    result = folder.run("audit", "list", "--json", *arguments)
    assert [row["id"] for row in json.loads(result.stdout)] == [ids[n] for n in expected]
    people = folder.run("audit", "list", *arguments)
    assert people.exit_code == 0
    assert ("no operations" in people.stdout) == (not expected)


def test_one_operation_with_everything_that_happened(filled: tuple[Folder, list[str]]) -> None:
    """By its id; its entries in order, brackets in texts taken literally."""
    folder, ids = filled
    result = folder.run("audit", "show", ids[1])
    assert (result.exit_code, result.stderr) == (0, "")
    for word in ("it broke [here]", "dp_[bold]2", "heal-1", "reserved", "closed"):
        assert word in result.stdout
    shown = json.loads(folder.run("audit", "show", ids[1], "--json").stdout)
    assert (shown["id"], shown["outcome"]) == (ids[1], "failed")
    assert [entry["kind"] for entry in shown["entries"]] == ["reserved", "closed"]
    assert all(len(entry["hash"]) == 64 for entry in shown["entries"])


def test_an_id_may_be_shortened_as_long_as_it_is_one(filled: tuple[Folder, list[str]]) -> None:
    """Nobody types a whole id; what fits several, or none, is told."""
    folder, ids = filled
    found = folder.run("audit", "show", ids[0][:-1], "--json")
    assert json.loads(found.stdout)["id"] == ids[0]
    several = folder.run("audit", "show", "op_")
    assert (several.exit_code, several.stdout) == (1, "")
    assert ids[0] in several.stderr
    none = folder.run("audit", "show", "op_zzz")
    assert (none.exit_code, none.stdout) == (1, "")
    assert "there is no operation 'op_zzz': see audit list" in none.stderr


def test_no_ledger_is_not_an_empty_one(folder: Folder) -> None:
    """Looking does not create one: it is another configuration's that was meant."""
    result = folder.run("audit", "list")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no ledger at" in result.stderr
    assert not folder.ledger_exists


def test_a_ledger_that_cannot_be_read(folder: Folder) -> None:
    """Exit 3, and what to do about it."""
    (folder.path / "data").mkdir()
    (folder.path / "data" / "medic.db").write_text("not a database, but long enough for one" * 99)
    result = folder.run("audit", "list", "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "damaged" in result.stderr


# doctor


def test_a_healthy_target(running: Folder) -> None:
    """Exit 0; what each component saw, for people."""
    result = running.run("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    for word in ("target prod", "ingress", "Restate 1.7.12", "1 registered", "1 active"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not running.ledger_exists


def test_a_healthy_target_as_json(running: Folder) -> None:
    """The documented answer alone on stdout."""
    result = running.run("doctor", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert list(told) == ["ingress", "admin", "deployments", "services", "invocations"]
    assert {part["status"] for part in told.values()} == {"ok"}


def test_an_unhealthy_target(running: Folder, restate: FakeRestate) -> None:
    """One component is enough for exit 1; it says which, and why."""
    restate.routes["GET", "/services"] = hostile.answer(500, "{}")
    result = running.run("doctor")
    assert result.exit_code == 1
    assert "http_status" in result.stdout
    told = running.run("doctor", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["services"]["status"] == "degraded"


def test_a_target_that_is_down(folder: Folder) -> None:
    """Neither ingress nor admin: exit 3, and still the whole answer."""
    result = folder.run("doctor", "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert {part["status"] for part in told.values()} == {"unreachable"}
    assert all("refused" in part["error"] for part in told.values())


def test_a_target_must_be_named_where_there_are_several(folder: Folder) -> None:
    """The doctor looks at all of them, but its JSON is one target's."""
    folder.configure(targets=2)
    every = folder.run("doctor")
    assert every.exit_code == 3
    assert "target prod1" in every.stdout
    result = folder.run("doctor", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there are 2 targets: name one of prod, prod1" in result.stderr
    assert "did you mean 'prod1'" in folder.run("doctor", "prd1").stderr
    assert folder.run("redeploy", "--yes").exit_code == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "it is up; the token is missing, wrong or expired"),
        (403, "it is up; the token does not allow this"),
    ],
)
def test_a_token_that_is_refused_is_no_outage(
    running: Folder, restate: FakeRestate, status: int, words: str
) -> None:
    """401 and 403 are told apart, and both from down: exit 1, not 3; each door says its want."""
    for route in (("GET", "/restate/health"), ("GET", "/version"), ("GET", "/services")):
        restate.routes[route] = hostile.answer(status, "{}")
    result = running.run("doctor")
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert said.count(words) == 4  # the dry runs, too
    assert "ingress_token is not set; the ingress wants the API key" in said
    assert "admin_token is not set; the admin API wants an API key of the role Admin" in said
    told = json.loads(running.run("doctor", "--json").stdout)
    assert told["ingress"]["status"] == "degraded"
    assert all(words in told[name]["error"] for name in ("ingress", "admin", "services"))


def test_when_the_admin_token_expires_is_told(
    running: Folder, restate: FakeRestate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the doctor, and by a check of the configuration once it has; never the token."""
    del restate
    token = jwt({"exp": 1_700_000_000})
    monkeypatch.setenv("SSO", token)
    text = running.file.read_text().replace(
        "    workers:", "    admin_token: {env: SSO}\n    workers:"
    )
    running.file.write_text(text)
    result = running.run("doctor")
    assert "admin token expires 2023-11-14 22:13:20Z" in " ".join(result.stdout.split())
    checked = running.run("run", "--config.check")
    assert checked.exit_code == 0
    assert checked.stderr.startswith("note: targets[0].admin_token: is a JWT that expired at 2023")
    assert token not in result.output + checked.output


# why


def test_nothing_is_broken(running: Folder) -> None:
    """Exit 0, and what it was that was looked at."""
    result = running.run("why", "Greeter")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "Greeter on prod"
    assert [line.split()[0] for line in lines[1:8]] == [
        *("ingress", "admin", "registered", "endpoint", "worker", "work", "invocation")
    ]
    assert max(map(len, lines)) <= 80
    assert lines[-2].startswith("Nothing is broken.")
    assert not running.ledger_exists


def test_a_refused_token_is_the_broken_link(running: Folder, restate: FakeRestate) -> None:
    """Exit 1, unlike an ingress that is down."""
    restate.routes["GET", "/restate/health"] = hostile.answer(401, "{}")
    result = running.run("why", "Greeter")
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert "ingress broken is up, and refuses the token" in said
    assert result.stdout.splitlines()[-1] == f"restate-medic doctor --config.file {running.file}"


def test_the_last_line_can_be_run_as_it_stands(folder: Folder) -> None:
    """However long it is: with the target where there are several, and with the configuration."""
    folder.configure(targets=2)
    result = folder.run("why", "Greeter", "--target", "prod1")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[-1] == (
        f"restate-medic doctor prod1 --config.file {folder.file}"
    )
    assert folder.run("why", "Greeter").exit_code == 2


def test_the_verdict_as_json(running: Folder, restate: FakeRestate) -> None:
    """Each link with its state, the broken one by name, and the command."""
    restate.routes["GET", "/services"] = hostile.json_answer({"services": []})
    result = running.run("why", "Greeter", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    told = json.loads(result.stdout)
    assert (told["target"], told["service"], told["key"]) == ("prod", "Greeter", None)
    assert (told["fine"], told["broken"], told["unknown"]) == (False, "registered", [])
    assert told["command"] == f"restate-medic redeploy --config.file {running.file}"
    assert [link["state"] for link in told["links"]] == ["ok", "ok", "broken"]


def test_what_could_not_be_read_is_not_fine(running: Folder, restate: FakeRestate) -> None:
    """Named, and exit 1, though nothing that was read is broken."""
    restate.routes["POST", "/query"] = hostile.answer(500, '{"message": "no"}')
    result = running.run("why", "Greeter")
    assert result.exit_code == 1
    assert "Could not be read: work." in " ".join(result.stdout.split())


def test_a_secret_in_a_url_is_not_repeated(running: Folder, restate: FakeRestate) -> None:
    """Neither in the links nor in the command."""
    secret = "http://u:hunter2@w:9080/"
    running.file.write_text(running.file.read_text().replace(WORKER, secret))
    restate.routes["GET", "/services"] = hostile.json_answer({"services": []})
    for more in ((), ("--json",)):
        assert "hunter2" not in running.run("why", "Greeter", *more).output


# redeploy and cleanup


def drops_its_service(restate: FakeRestate) -> None:
    other = hostile.json_answer({"id": "dp_1", "services": [service("Other")]})
    restate.routes["POST", "/deployments"] = other


def writes(restate: FakeRestate) -> list[str]:
    """What was registered, dry runs left out."""
    return [
        method
        for method, path, body in restate.calls
        if (method, path) == ("POST", "/deployments") and not (body or {}).get("dry_run")
    ]


@pytest.mark.parametrize("command", ["redeploy", "cleanup"])
def test_a_dry_run_shows_the_plan_and_changes_nothing(
    running: Folder, restate: FakeRestate, command: str
) -> None:
    """Not even a ledger; programs get the plan as JSON, alone."""
    result = running.run(command, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert WORKER in result.stdout
    told = json.loads(running.run(command, "--dry-run", "--json").stdout)
    assert (told["target"], told["arguments"]["url"]) == ("prod", WORKER)
    assert writes(restate) == []
    assert not running.ledger_exists


def test_a_redeploy_is_carried_out_and_verified(running: Folder, restate: FakeRestate) -> None:
    """``--yes``: registered once, seen to be there, on record with the reason that was given."""
    result = running.run("redeploy", "--yes", "--reason", "rollout")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("verified  op_")
    assert writes(restate) == ["POST"]
    (row,) = json.loads(running.run("audit", "list", "--json").stdout)
    assert (row["outcome"], row["source"], row["reason"]) == ("verified", "cli", "rollout")
    assert row["arguments"] == {"url": WORKER, "force": True}


def test_an_outcome_as_json(running: Folder) -> None:
    """The closed row, alone on stdout."""
    result = running.run("redeploy", "--yes", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["outcome"] == "verified"


@pytest.mark.parametrize(
    ("answer", "code", "done"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("", 1, 0)]
)
def test_it_asks_before_it_acts(
    running: Folder, restate: FakeRestate, answer: str, code: int, done: int
) -> None:
    """The plan is shown first; anything but yes does nothing."""
    result = running.run("redeploy", answer=answer)
    assert result.exit_code == code
    assert f"register {WORKER}" in result.stdout
    assert len(writes(restate)) == done
    if not done:
        assert "nothing was done" in result.stderr or "Abort" in result.stderr


def test_programs_are_not_asked(running: Folder, restate: FakeRestate) -> None:
    """They must say what they want: usage, and no output that looks like a result."""
    result = running.run("redeploy", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "add --yes to act, or --dry-run to see the plan" in result.stderr
    assert writes(restate) == []


@pytest.mark.parametrize("more", [("--dry-run",), ("--yes",), ()])
def test_what_would_hurt_is_refused(
    running: Folder, restate: FakeRestate, more: tuple[str, ...]
) -> None:
    """Exit 1, the reason, and the word with which a person may insist."""
    drops_its_service(restate)
    result = running.run("redeploy", *more)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused (drop-service): http://w:9080/ no longer offers Greeter" in result.stderr
    assert "If you are sure: --allow drop-service" in result.stderr
    assert writes(restate) == []


def test_a_refusal_as_json_is_on_record(running: Folder, restate: FakeRestate) -> None:
    """Programs get the bounded reason, alone on stdout; the ledger knows who tried."""
    drops_its_service(restate)
    result = running.run("redeploy", "--yes", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout)["refused"] == "drop-service"
    (row,) = json.loads(running.run("audit", "list", "--json").stdout)
    assert row["outcome"] == "refused"
    assert row["error"].startswith("drop-service: ")


def test_insisting_is_shown_in_the_plan(running: Folder, restate: FakeRestate) -> None:
    """What was allowed stands in the plan, and would in the ledger."""
    drops_its_service(restate)
    result = running.run("redeploy", "--dry-run", "--allow", "drop-service", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["allowed"] == ["drop-service"]


def test_a_template_that_nobody_filled_in_is_refused(running: Folder) -> None:
    """Registering a stand-in would acknowledge and do nothing useful."""
    result = running.run("redeploy", "http://worker.example.com", "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused (placeholder-url)" in result.stderr


def test_a_target_that_is_down_cannot_be_repaired(folder: Folder) -> None:
    """Exit 3; the attempt is on record, since a person made it."""
    result = folder.run("redeploy", "--yes")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "refused" in result.stderr
    (row,) = json.loads(folder.run("audit", "list", "--json").stdout)
    assert row["outcome"] == "refused"
    assert row["error"].startswith("refused: ")


def test_user_info_is_not_repeated(folder: Folder) -> None:
    """Not in errors, whatever the URL is that they tell of."""
    folder.configure("http://medic:hunter2@127.0.0.1:1")
    for command in (("doctor",), ("doctor", "--json"), ("redeploy", "--yes")):
        result = folder.run(*command)
        assert "hunter2" not in result.stdout + result.stderr
    result = folder.run("redeploy", "http://u:hunter2@w:9080", "--dry-run")
    assert "hunter2" not in result.stdout + result.stderr
