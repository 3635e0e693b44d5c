"""The way in for everything that awaits, and what it says when the ledger fails."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, text

from exporter.ledger.chain import verify
from exporter.ledger.engine import connect, for_writing, ledger_url
from exporter.ledger.gateway import Ledger
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from exporter.ledger.trouble import is_trouble, unavailable
from exporter.model.decision import Decision, Result, Subject
from exporter.model.errors import ConfigurationError, InFlightError, LedgerUnavailableError
from exporter.model.operation import ActResult, Operation, Outcome, Phase
from tests.contract.ledger.making import LEASE, at, by_policy, plan_for

SOON = timedelta(milliseconds=200)
NOBODY = 65_534


class Failures:
    """Counts what the hook is told."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest_asyncio.fixture
async def ledger(url: str, failures: Failures) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(url, on_failure=failures)
    yield ledger
    await ledger.close()


@pytest_asyncio.fixture
async def impatient(url: str, failures: Failures) -> AsyncIterator[Ledger]:
    """A ledger that gives a lock up soon."""
    ledger = await Ledger.open(url, on_failure=failures, lock_wait=SOON)
    yield ledger
    await ledger.close()


async def reserve(ledger: Ledger, target: str = "prod") -> Operation:
    request = by_policy(target)
    return await ledger.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))


@pytest.fixture
def holding(url: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that holds a lock on the ledger."""
    root = Path(__file__).parents[3]
    with ExitStack() as stack:

        def start(what: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "tests.contract.ledger.process", what, url]
            process = stack.enter_context(
                subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            return process

        yield start


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a user without rights can reach."""
    with tempfile.TemporaryDirectory(prefix="medic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data").mkdir()
        (folder / "data").chmod(0o777)
        yield folder / "data"


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write anything, so become nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def inside(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def rights(mode: int, *paths: Path) -> None:
    for path in paths:
        path.chmod(mode)


async def test_a_whole_operation(ledger: Ledger) -> None:
    """The awaited methods are the store's, and what they did is in the standing after a refresh."""
    operation = await reserve(ledger)
    with pytest.raises(InFlightError):
        await reserve(ledger)
    await ledger.refresh()
    assert ledger.standing.open_on("prod") == operation
    lease = {"owner": "one", "lease": LEASE}
    await ledger.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1))
    await ledger.mark_acted(operation.id, ActResult(), **lease, now=at(2))  # type: ignore[arg-type]
    closed = await ledger.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(3))
    await ledger.refresh()
    assert ledger.standing.open_on("prod") is None
    assert await ledger.operation(operation.id) == closed
    assert await ledger.operations(target="prod") == (closed,)
    changed = [Decision(Subject("heal", "prod"), Result.ACT)]
    assert await ledger.note_changes(changed, at(4)) == tuple(changed)
    assert verify(await ledger.chain(), await ledger.head()) is None
    assert ledger.available


async def test_many_calls_at_once(ledger: Ledger) -> None:
    """A hundred targets' operations at the same time are all recorded."""
    operations = await asyncio.gather(*(reserve(ledger, f"t{n}") for n in range(100)))
    await asyncio.gather(ledger.refresh(), ledger.refresh(), ledger.refresh())
    assert {o.id for o in ledger.standing.open.values()} == {o.id for o in operations}


async def test_a_cancelled_caller_does_not_stop_a_call(ledger: Ledger, url: str) -> None:
    """What was begun is finished: a cancelled task never leaves half a change."""
    task = asyncio.create_task(reserve(ledger))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ledger.close()
    again = await Ledger.open(url)
    (operation,) = await again.operations()
    assert operation.target == "prod"
    await again.close()


async def test_a_locked_ledger_is_unavailable_until_it_is_free(
    impatient: Ledger, failures: Failures, holding: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Another writer that does not let go: a clear sentence, a count, nothing lost, then on."""
    ledger = impatient
    first = await reserve(ledger)
    process = holding("lock")
    with pytest.raises(LedgerUnavailableError, match="another process holds its lock"):
        await ledger.finish(first.id, Outcome.VERIFIED, owner="one", now=at(1))
    assert not ledger.available
    assert failures.count == 1
    assert await ledger.operation(first.id) == first
    with pytest.raises(LedgerUnavailableError):
        await ledger.refresh()
    assert not ledger.available, "that it can be read does not make it available"

    process.kill()
    process.wait()
    await ledger.refresh()
    assert ledger.available
    closed = await ledger.finish(first.id, Outcome.VERIFIED, owner="one", now=at(2))
    assert closed.outcome is Outcome.VERIFIED
    assert verify(await ledger.chain(), await ledger.head()) is None


async def test_a_closed_ledger_says_so(url: str) -> None:
    """After the end of the daemon's life nobody gets past the ledger."""
    ledger = await Ledger.open(url)
    await ledger.close()
    with pytest.raises(LedgerUnavailableError, match="is closed"):
        await reserve(ledger)


async def test_a_newer_ledger_is_refused(url: str) -> None:
    """Opening a ledger of a newer version fails with what to do about it."""
    await (await Ledger.open(url)).close()
    engine = create_engine(ledger_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9001'"))
    engine.dispose()
    with pytest.raises(LedgerUnavailableError, match="newer restate-medic"):
        await Ledger.open(url)


@pytest.mark.parametrize(
    "wrong", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "no url", "", "postgresql"]
)
async def test_a_url_that_is_no_ledgers(wrong: str) -> None:
    """A wrong storage.url is an error of configuration that says what to write instead."""
    with pytest.raises(ConfigurationError, match=r"sqlite:///FILE.*postgresql://"):
        await Ledger.open(wrong)


class TestSqlite:
    """What happens to files."""

    def test_what_is_committed_survives_a_power_failure(self, tmp_path: Path) -> None:
        """Every connection waits for the disk, lets others read meanwhile, and checks its keys."""
        engine = connect(ledger_url(f"sqlite:///{tmp_path}/medic.db"))
        with engine.connect() as connection:
            wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
            for pragma, value in wanted.items():
                assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
        engine.dispose()

    async def test_an_exclusively_locked_file(self, tmp_path: Path) -> None:
        """A new file that another process holds exclusively is unavailable, not an endless wait."""
        file = tmp_path / "medic.db"
        holder = connect(ledger_url(f"sqlite:///{file}")).raw_connection()
        holder.driver_connection.execute("PRAGMA journal_mode = DELETE")  # type: ignore[union-attr]
        holder.driver_connection.execute("BEGIN EXCLUSIVE")  # type: ignore[union-attr]
        with pytest.raises(LedgerUnavailableError, match="another process holds its lock"):
            await Ledger.open(f"sqlite:///{file}", lock_wait=SOON)
        holder.close()
        await (await Ledger.open(f"sqlite:///{file}", lock_wait=SOON)).close()

    async def test_an_unwritable_folder(self, open_folder: Path, failures: Failures) -> None:
        """A folder that cannot be written: a daemon starts without acting, and recovers later."""
        url = f"sqlite:///{open_folder}/sub/medic.db"
        rights(0o555, open_folder)
        with without_rights():
            with pytest.raises(LedgerUnavailableError, match=r"cannot be opened.*may write"):
                await Ledger.open(url)
            ledger = await Ledger.open(url, required=False, on_failure=failures)
            assert not ledger.available
            assert failures.count == 1
            with pytest.raises(LedgerUnavailableError, match=re.escape(str(open_folder))):
                await reserve(ledger)
        rights(0o777, open_folder)
        with without_rights():
            await ledger.refresh()
            assert ledger.available
            await reserve(ledger)
            await ledger.close()

    async def test_a_file_in_place_of_a_folder(self, tmp_path: Path) -> None:
        """A path through a file is refused with a sentence, not a stack trace."""
        (tmp_path / "data").write_text("")
        with pytest.raises(LedgerUnavailableError, match="cannot be opened"):
            await Ledger.open(f"sqlite:///{tmp_path}/data/medic.db")

    async def test_a_read_only_file(self, open_folder: Path) -> None:
        """A file that may only be read can be read, never acted on; its rights may come back."""
        url, file = f"sqlite:///{open_folder}/medic.db", open_folder / "medic.db"
        ledger = await Ledger.open(url)
        operation = await reserve(ledger)
        await ledger.close()
        rights(0o444, file)
        with without_rights():
            ledger = await Ledger.open(url, required=False)
            assert not ledger.available
            assert await ledger.operations() == (operation,)
            with pytest.raises(LedgerUnavailableError, match="read-only"):
                await ledger.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(1))
        rights(0o666, *inside(open_folder))
        with without_rights():
            await ledger.refresh()
            await ledger.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(2))
            await ledger.close()

    @pytest.mark.parametrize("content", [b"this is no database\n" * 100, b"\0" * 8192])
    async def test_a_file_that_is_no_ledger(self, tmp_path: Path, content: bytes) -> None:
        """A damaged or foreign file is left exactly as it is."""
        file = tmp_path / "medic.db"
        file.write_bytes(content)
        with pytest.raises(LedgerUnavailableError, match=r"damaged or no ledger.*restore a copy"):
            await Ledger.open(f"sqlite:///{file}")
        assert file.read_bytes() == content

    async def test_a_damaged_page(self, tmp_path: Path) -> None:
        """Damage inside the file is unavailability, not wrong answers."""
        url, file = f"sqlite:///{tmp_path}/medic.db", tmp_path / "medic.db"
        ledger = await Ledger.open(url)
        await asyncio.gather(*(reserve(ledger, f"t{n}") for n in range(50)))
        await ledger.close()
        whole = file.read_bytes()
        file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        with pytest.raises(LedgerUnavailableError, match="damaged"):
            await Ledger.open(url)

    async def test_tables_that_are_gone(self, tmp_path: Path) -> None:
        """A ledger that lost its head or its tables is unavailable, and never starts anew."""
        for statement in ("DROP TABLE entries", "DELETE FROM head"):
            url = f"sqlite:///{tmp_path}/{statement.split()[0]}.db"
            ledger = await Ledger.open(url)
            engine = create_engine(ledger_url(url))
            with engine.begin() as connection:
                connection.execute(text(statement))
            engine.dispose()
            with pytest.raises(LedgerUnavailableError, match="restore a copy"):
                await reserve(ledger)
            await ledger.close()

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """When no more fits, the sentence says so, and what was recorded stays readable."""
        engine = connect(ledger_url(f"sqlite:///{tmp_path}/medic.db"))
        prepare(engine)
        store = Store(engine)
        with for_writing(engine).connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        kept = 0

        def fill() -> None:
            nonlocal kept
            for kept in range(1000):
                request = by_policy(f"t{kept}")
                store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(kept))

        with pytest.raises(Exception, match="full") as caught:
            fill()
        assert is_trouble(caught.value)
        assert "free some space" in str(unavailable(caught.value, "here"))
        assert len(store.operations(limit=1000)) == kept
        assert verify(store.chain(limit=10_000), store.head()) is None
        engine.dispose()


class TestPostgresql:
    """What happens to connections."""

    async def test_a_database_that_is_not_there(self, tmp_path: Path) -> None:
        """No server: a sentence without the password, and not more than a few seconds."""
        for user, options in (("medic:hunter2secret", ""), ("medic", "&password=hunter2secret")):
            url = f"postgresql://{user}@/x?host={tmp_path}{options}"
            with pytest.raises(LedgerUnavailableError, match="check that it runs") as caught:
                await Ledger.open(url)
            assert "hunter2secret" not in str(caught.value)
            assert str(tmp_path) in str(caught.value)

    async def test_a_missing_database(self, postgresql: str) -> None:
        """A database that does not exist is told from a server that does not answer."""
        url = postgresql.replace("/postgres?", "/missing?")
        with pytest.raises(LedgerUnavailableError, match=r"missing.*does not exist"):
            await Ledger.open(url)

    async def test_a_cut_connection_is_replaced(self, new_postgresql: Callable[[], str]) -> None:
        """A database that restarted in between costs nothing but a new connection."""
        url = new_postgresql()
        ledger = await Ledger.open(url)
        operation = await reserve(ledger)
        engine = create_engine(ledger_url(url))
        with engine.begin() as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            connection.execute(text(f"{cut} current_database() AND pid <> pg_backend_pid()"))
        engine.dispose()
        await ledger.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(1))
        assert ledger.available
        await ledger.close()
