"""``audit verify`` and ``audit export`` at a terminal."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exporter.app.open import utc_now
from exporter.ledger.chain import Entry, Head, verify
from exporter.ledger.gateway import Ledger
from exporter.ledger.texts import canonical
from exporter.model.identity import Identity
from exporter.model.operation import Fence
from exporter.policy.memory import Forever
from tests.unit.fakes import by_person
from tests.unit.policy_scenes import NOW
from tests.unit.test_cli import Folder, no_variables

__all__ = ["no_variables"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration, and a ledger with a few entries."""
    made = Folder(tmp_path)
    made.configure()

    async def fill() -> None:
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/data/medic.db")
        for number in range(3):
            await ledger.refuse(by_person(), reason="no", message=f"=it({number})", now=NOW)
        await ledger.close()

    asyncio.run(fill())
    return made


def forge(folder: Folder, change: str) -> None:
    with sqlite3.connect(folder.path / "data" / "medic.db") as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in names.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(change)


def test_a_whole_ledger_is_told_with_its_head(folder: Folder) -> None:
    """The head can be kept elsewhere, and given again."""
    result = folder.run("audit", "verify")
    assert result.exit_code == 0, result.output
    first, key, second = result.stdout.splitlines()
    assert first == "3 entries and their rows are as they were written"
    assert key.startswith("they have no key: ")
    head = second.removeprefix("head ")
    assert folder.run("audit", "verify", "--head", head).exit_code == 0
    told = json.loads(folder.run("audit", "verify", "--json").stdout)
    assert told == {"head": head, "entries": 3, "begins": None, "key": None, "flaw": None}
    later = f"4:{'0' * 64}"
    cut = folder.run("audit", "verify", "--head", later)
    assert (cut.exit_code, cut.stdout) == (
        1,
        "the ledger was changed: entries after 3 are missing; 4 was known\n",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE entries SET body = '{}' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE entries SET at = 'x' WHERE seq = 2", "cannot be read"),
        ("UPDATE operations SET actor = 'ben' WHERE seq = 3", "its actor is not what"),
        ("UPDATE operations SET before = '{' WHERE seq = 3", "cannot be read"),
    ],
)
def test_a_changed_ledger_is_exit_one(folder: Folder, change: str, says: str) -> None:
    """Also when what was changed cannot even be read any more."""
    forge(folder, change)
    result = folder.run("audit", "verify")
    assert result.exit_code == 1
    assert says in result.stdout
    assert json.loads(folder.run("audit", "verify", "--json").stdout)["flaw"]["entry"] > 0


def test_a_head_that_is_none_is_refused(folder: Folder) -> None:
    """It says what to write."""
    result = folder.run("audit", "verify", "--head", "3")
    assert result.exit_code == 2
    assert "write SEQ:HASH" in result.stderr


def test_a_ledger_is_sealed_with_a_key(folder: Folder) -> None:
    """Until then nothing is written with it; afterwards it is needed to check."""
    (folder.path / "key").write_text("k" * 32)
    plain = folder.file.read_text()
    folder.file.write_text(plain + "storage: {hmac_key: {file: key}}\n")
    refused = folder.run("pause", "--all", "--reason", "x")
    assert refused.exit_code == 3
    assert "run restate-medic audit seal once" in refused.stderr
    assert "none of the 3 entries has a key" in folder.run("audit", "verify").stdout
    sealed = folder.run("audit", "seal")
    assert sealed.exit_code == 0, sealed.output
    assert sealed.stdout.startswith("from now on entries have key ")
    assert folder.run("audit", "seal").stdout.startswith("entries have already key ")
    assert folder.run("pause", "--all", "--reason", "x").exit_code == 0
    whole = folder.run("audit", "verify")
    assert (whole.exit_code, "since entry 4 they have a key" in whole.stdout) == (0, True)
    told = json.loads(folder.run("audit", "verify", "--json").stdout)
    assert told["key"]["since"] == 4
    folder.file.write_text(plain)
    without = folder.run("audit", "verify")
    assert without.exit_code == 1
    assert "no key is configured: give it in storage.hmac_key" in without.stdout
    assert folder.run("unpause", "--all").exit_code == 3


def test_what_was_changed_is_not_sealed(folder: Folder) -> None:
    """Nor anything without a key."""
    assert "there is no key" in folder.run("audit", "seal").stderr
    (folder.path / "key").write_text("k" * 32)
    folder.file.write_text(folder.file.read_text() + "storage: {hmac_key: {file: key}}\n")
    forge(folder, "UPDATE entries SET body = '{}' WHERE seq = 2")
    refused = folder.run("audit", "seal")
    assert (refused.exit_code, "entry 2 was altered" in refused.stdout) == (1, True)


def test_a_report_is_written_in_three_formats(folder: Folder) -> None:
    """And --since is refused with what to write."""
    text = folder.run("audit", "report")
    assert text.exit_code == 0, text.output
    assert text.stdout.startswith("# restate-medic\n")
    assert folder.run("audit", "report", "--format", "html").stdout.startswith("<!doctype html>")
    body = json.loads(folder.run("audit", "report", "--format", "json", "--since", "7d").stdout)
    assert body["targets"] == ["prod"]
    wrong = folder.run("audit", "report", "--since", "yesterday")
    assert (wrong.exit_code, "write a number with a unit" in wrong.stderr) == (2, True)


def test_policies_that_are_broken_do_not_keep_the_report_from_anybody(folder: Folder) -> None:
    """It says that nobody knows which breakers are open."""
    (folder.path / "policies").mkdir(exist_ok=True)
    (folder.path / "policies" / "broken.yaml").write_text("policies: [{}]\n")
    found = folder.run("audit", "report")
    assert found.exit_code == 0, found.output
    assert "nobody knows which breakers are open" in found.stdout


def test_what_is_exported_can_be_verified_elsewhere(folder: Folder, tmp_path: Path) -> None:
    """Every field that a hash covers is there, in both formats."""
    lines = folder.run("audit", "export")
    assert lines.exit_code == 0
    seq, digest = lines.stderr.rsplit(" ", 1)[1].strip().split(":")
    head = Head(int(seq), digest)
    rows = [json.loads(line) for line in lines.stdout.splitlines()]
    assert verify((entry(row, canonical(row["body"])) for row in rows), head) is None
    file = tmp_path / "ledger.csv"
    assert folder.run("audit", "export", "--format", "csv", "--out", str(file)).exit_code == 0
    with file.open(newline="") as opened:
        table = list(csv.DictReader(opened))
    assert verify((entry(row, row["body"]) for row in table), head) is None
    assert [path.name for path in tmp_path.glob(".ledger*")] == []


def test_only_what_is_recent_is_exported_if_so_wanted(folder: Folder) -> None:
    """From a moment, or within a duration; anything else is refused with what to write."""
    before = folder.run("audit", "export", "--since", "2020-01-01T00:00:00Z")
    assert len(before.stdout.splitlines()) == 3
    after = folder.run("audit", "export", "--since", "2126-01-01T00:00:00Z")
    assert after.stdout == ""
    assert after.stderr.startswith("0 entries; head 3:")
    wrong = folder.run("audit", "export", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "write 24h, 7d or 2026-05-09T10:00:00Z" in wrong.stderr


def test_a_file_that_cannot_be_written_is_told(folder: Folder, tmp_path: Path) -> None:
    """And none is left half written."""
    result = folder.run("audit", "export", "--out", str(tmp_path / "none" / "file"))
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr


def entry(row: dict[str, str], body: str) -> Entry:
    return Entry(
        int(row["seq"]),
        row["operationId"] or None,
        row["kind"],
        datetime.fromisoformat(row["at"]),
        body,
        row["prevHash"],
        row["hash"],
    )


@pytest.fixture
def pruned(tmp_path: Path) -> Folder:
    """A ledger whose oldest calls retention removed; one is left."""
    made = Folder(tmp_path)
    made.configure()

    async def fill() -> None:
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/data/medic.db")
        now = utc_now()
        for at in (now - timedelta(days=100), now - timedelta(days=90), now):
            await ledger.record_answered(by_person(), now=at)
        await ledger.note_identity("prod", Identity("c1", frozenset()), now=now)
        lease = await ledger.acquire("1/1", holder="one", length=timedelta(minutes=1))
        fence = Fence("1/1", "one", lease.epoch)
        plan = await ledger.plan_pruning(keep=timedelta(days=30), rests=Forever(), now=now)
        (step,) = plan.steps
        assert await ledger.prune(plan, step, after=0, fence=fence, now=now)
        await ledger.close()

    asyncio.run(fill())
    return made


def test_a_pruned_ledger_says_since_when_it_begins(pruned: Folder) -> None:
    """Checking, listing, exporting and reporting go on with what is left."""
    checked = pruned.run("audit", "verify")
    assert checked.exit_code == 0, checked.output
    first, begins, _, head = checked.stdout.splitlines()
    assert first == "entries 3 to 6 and their rows are as they were written"
    assert begins == f"entries before 3 were removed by retention on {utc_now():%Y-%m-%d}"
    told = json.loads(pruned.run("audit", "verify", "--json").stdout)["begins"]
    assert (told["entry"], told["kept"]) == (3, 0)
    assert pruned.run("audit", "verify", "--head", head.removeprefix("head ")).exit_code == 0
    old = pruned.run("audit", "verify", "--head", f"1:{'0' * 64}")
    assert (old.exit_code, "it proves nothing any more" in old.stdout) == (1, True)
    lines = pruned.run("audit", "export").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [3, 4, 5, 6]
    assert len(json.loads(pruned.run("audit", "list", "--json").stdout)) == 1
    report = pruned.run("audit", "report", "--since", "95d").stdout
    assert "The ledger knows nothing of the time before" in report
