"""``policy replay`` at a terminal, in a pipe and for programs, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from exporter.ledger.engine import connect, ledger_url, make_folder
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Subject
from exporter.model.decision import Result as Outcome
from exporter.model.hold import HoldReason
from exporter.replay.check import compare
from tests.unit.policy_scenes import NOW, policy
from tests.unit.recorded import Night, missing_during
from tests.unit.test_cli import Folder, no_variables

__all__ = ["no_variables"]

HOUR = timedelta(hours=1)
SPAN = ("--since", f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "--until", f"{NOW + HOUR:%Y-%m-%dT%H:%M:%SZ}")
HEAL = """
policies:
  - name: heal
    mode: observe
    when: size(services.missing) > 0
    for: 1m
    action: {force-redeploy: {}}
    cooldown: 5m
    limits: [{scope: target, max: 9, per: 24h}]
    verify: {within: 10m, healthy_for: 30s}
"""
THEN = policy(name="heal", **{"for": "1m"})


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration, and an hour of history: a service is missing for a while, twice."""
    made = Folder(tmp_path)
    made.configure()
    url = ledger_url(f"sqlite:///{tmp_path}/data/medic.db")
    make_folder(url)
    engine = connect(url)
    prepare(engine)
    night = Night(engine, policies=(THEN,))
    asyncio.run(night.record(missing_during((5, 30), (40, 50)), 60))
    engine.dispose()
    return made


def replay(folder: Folder, *arguments: str) -> Result:
    return folder.run("policy", "replay", *SPAN, *arguments)


def test_what_would_have_been_done_and_held_is_told(folder: Folder) -> None:
    """When, what, on what, by which policy; what held, for how long and why; what is assumed."""
    folder.policies(HEAL)
    result = replay(folder, str(folder.path / "policies"), "--mode", "enforce")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "241 rounds of 1 target, 2026-11-02 03:00:00Z to 2026-11-02 04:00:00Z" in text
    assert "2026-11-02 03:06:00Z  force-redeploy on prod" in text
    assert "2026-11-02 03:41:00Z  force-redeploy on prod" in text
    assert "policy heal" in text
    assert "pending  1m" in text
    assert "2026-11-02 03:05:00Z to 2026-11-02 03:06:00Z" in text
    assert "heal: 2 operations" in text
    assert "Assumed: no preflight refuses, and each repair helps" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert result.stderr == ""


def test_a_rehearsal_is_called_one(folder: Folder) -> None:
    """As written, the policy only observes."""
    folder.policies(HEAL)
    text = replay(folder, str(folder.path / "policies" / "heal.yaml")).stdout
    assert "rehearse force-redeploy on prod" in text


def test_repairs_that_fail_are_told_with_their_end(folder: Folder) -> None:
    """The other assumption."""
    folder.policies(HEAL)
    arguments = (str(folder.path / "policies"), "--mode", "enforce", "--repairs", "fail")
    text = replay(folder, *arguments).stdout
    assert "unverified at 2026-11-02 03:16:00Z" in text
    assert "cooldown" in text
    assert "no repair changes anything" in text


def test_programs_get_all_of_it(folder: Folder) -> None:
    """Every deed and every hold, with moments; nothing else on stdout."""
    told = json.loads(replay(folder, "--json").stdout)
    assert (told["rounds"], told["readings"]) == (241, 241 * 6)
    assert (told["targets"], told["policies"]) == (["prod"], ["heal"])
    begun = [deed for deed in told["deeds"] if deed["outcome"] is None]
    assert begun[0]["at"] == "2026-11-02 03:06:00Z"
    assert (begun[0]["remedy"], begun[0]["mode"]) == ("force-redeploy", "enforce")
    assert told["held"][0]["reason"] == "pending"


def test_nothing_to_do_is_said(folder: Folder) -> None:
    """Not an empty table."""
    folder.policies(HEAL.replace("> 0", "> 5"))
    text = replay(folder, str(folder.path / "policies")).stdout
    assert "nothing would have been done\n" in text
    assert "nothing would have been held\n" in text
    assert "heal: 0 operations" in text


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--target", "pord"), 2, "there is no target 'pord'; did you mean 'prod'?"),
        (
            ("--since", "1h", "--until", "2h"),
            2,
            "--since is not before --until; write an earlier moment",
        ),
        (
            ("--since", "yesterday"),
            2,
            "--since 'yesterday' is no moment; write 24h, 7d or 2026-05-09T10:00:00Z",
        ),
        (("--until", "soon"), 2, "--until 'soon' is no moment; write 24h, 7d or 2026"),
        (
            ("--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z"),
            1,
            "nothing was recorded between 2026-01-01 00:00:00Z and 2026-01-02 00:00:00Z",
        ),
        (
            ("--check", "--mode", "enforce"),
            2,
            "--check decides with the policies of then: leave out files, --mode and --repairs",
        ),
        (("--check", "--repairs", "fail"), 2, "--check decides with the policies of then"),
        (("--check", "x.yaml"), 2, "--check decides with the policies of then"),
        (
            ("--check", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z"),
            1,
            "nothing was recorded between",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_replayed_is_told(
    folder: Folder, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """One sentence on stderr, with what to write instead; the exit code tells whose fault it is."""
    result = replay(folder, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr


def test_a_bad_policy_is_told_with_its_place(folder: Folder) -> None:
    """As `policy check` does; nothing is replayed."""
    folder.policies(HEAL.replace("services.missing", "services.mising"))
    result = replay(folder, str(folder.path / "policies" / "heal.yaml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "heal.yaml:5:16: policies[0].when: " in result.stderr
    assert "services.missing" in result.stderr


def test_no_history_is_told(tmp_path: Path) -> None:
    """No ledger, and one in which nothing was recorded: what to do about it."""
    empty = Folder(tmp_path)
    empty.configure()
    result = replay(empty)
    assert result.exit_code == 2
    assert "there is no ledger at" in result.stderr
    assert not empty.ledger_exists
    url = ledger_url(f"sqlite:///{tmp_path}/data/medic.db")
    make_folder(url)
    engine = connect(url)
    prepare(engine)
    engine.dispose()
    for arguments in ((), ("--check",)):
        result = replay(empty, *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "nothing was recorded yet: a daemon keeps history from its first round" in (
            result.stderr
        )


def test_a_damaged_block_is_told(folder: Folder) -> None:
    """Of which target, since when, and what is wrong; no stack trace."""
    with sqlite3.connect(folder.path / "data" / "medic.db") as connection:
        connection.execute("UPDATE history SET body = x'00' WHERE stream = 'prod'")
    result = replay(folder)
    assert (result.exit_code, result.stdout) == (1, "")
    begins = "history of prod since 2026-11-02 03:00:00Z cannot be read: it is damaged: "
    assert result.stderr.startswith(begins)


def note_all(folder: Folder) -> int:
    """Write into the ledger what history gives; how many notes."""
    engine = connect(ledger_url(f"sqlite:///{folder.path}/data/medic.db"))
    found = compare(engine, since=NOW, until=NOW + HOUR)
    store = Store(engine)
    for one in found.differences:
        assert not one.live
        reason = HoldReason(one.note.reason) if one.note.reason else None
        subject = Subject(one.note.policy, one.target, one.note.item)
        decision = Decision(subject, Outcome(one.note.result), reason)
        store.note_changes([decision], now=one.at.astimezone(UTC))
    engine.dispose()
    return len(found.differences)


def test_what_was_decided_is_compared_with_what_comes_out(folder: Folder) -> None:
    """Equal: 0. Where the ledger has nothing of a change, or another one: 1, and both are shown."""
    missing = replay(folder, "--check")
    assert missing.exit_code == 1
    assert "decided otherwise" in missing.stdout
    assert "2026-11-02 03:06:00Z  replay only  heal on prod: act" in missing.stdout
    count = note_all(folder)
    equal = replay(folder, "--check")
    assert equal.exit_code == 0, equal.output
    assert f"{count} decisions on record, and the same come out again" in equal.stdout
    with sqlite3.connect(folder.path / "data" / "medic.db") as connection:
        connection.execute("UPDATE decisions SET reason = 'storm' WHERE reason = 'pending'")
    told = json.loads(replay(folder, "--check", "--json").stdout)
    assert {(one["by"], one["reason"]) for one in told["differences"]} == {
        ("ledger", "storm"),
        ("replay", "pending"),
    }
    assert told["differences"][0]["at"].startswith("2026-11-02T03:05:00")
