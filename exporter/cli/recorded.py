"""What commands over recorded history share: the ledger it lies in, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy import Engine

from exporter.cli.orders import known
from exporter.cli.output import Exit, err, fail
from exporter.ledger.archive import Archive
from exporter.ledger.engine import connect, ledger_url, place
from exporter.ledger.schema import prepare
from exporter.ledger.trouble import is_trouble, unavailable
from exporter.settings.load import Configuration


@contextmanager
def recorded_ledger(configuration: Configuration) -> Iterator[Engine]:
    """The configuration's ledger; leaves when there is none."""
    path = configuration.ledger_file
    if path is not None and not path.exists():
        msg = f"there is no ledger at {path}: name the configuration of the daemon (--config.file)"
        fail(msg, Exit.USAGE)
    url = ledger_url(configuration.storage_url)
    engine = connect(url)
    try:
        prepare(engine)
        yield engine
    except Exception as error:
        if not is_trouble(error):
            raise
        raise unavailable(error, place(url)) from error
    finally:
        engine.dispose()


def known_targets(source: Engine, targets: Iterable[str]) -> None:
    """Leave when nothing was recorded at all, or nothing of one of these."""
    names = frozenset(Archive(source).history_span()) - {""}
    if not names:
        fail(
            "nothing was recorded yet: a daemon keeps history from its first round on, unless"
            " history.enabled is false",
            Exit.UNHEALTHY,
        )
    for name in targets:
        known("target", name, names)


@contextmanager
def progress_over(since: datetime, until: datetime) -> Iterator[Callable[[datetime], None]]:
    """A bar of time on stderr, where that is a terminal."""
    told = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*told, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("replaying", total=(until - since).total_seconds())

        def advance(at: datetime) -> None:
            progress.update(task, completed=(at - since).total_seconds())

        yield advance
