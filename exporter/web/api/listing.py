"""Pages of lists, for the routes that read: what a cursor means, and which names there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from exporter.policy.words import no_such
from exporter.web.api.errors import unusable
from exporter.web.api.filters import Paged
from exporter.wire.paging import Key, cursor_of, key_of, page

_T = TypeVar("_T")


def paged(
    kind: str, rows: Iterable[_T], asked: Paged, key: Callable[[_T], Key]
) -> tuple[tuple[_T, ...], str | None]:
    """The rows that are asked for, by key, and the cursor of the next ones."""
    shown, last = page(rows, key=key, after=after(kind, asked), limit=asked.limit)
    return shown, None if last is None else cursor_of(kind, last)


def after(kind: str, asked: Paged) -> Key | None:
    """The key to go on after, if a cursor was sent. FailureError when it is none of this list."""
    if asked.cursor is None:
        return None
    try:
        return key_of(kind, asked.cursor)
    except ValueError as error:
        raise unusable("query.cursor", str(error)) from error


def known(parameter: str, name: str | None, names: Iterable[str]) -> None:
    """Refuse a filter that names what is not there: an empty list would look like all is well."""
    there = set(names)
    if name is not None and name not in there:
        raise unusable(f"query.{parameter}", str(no_such(parameter, name, there)))


def one(kind: str, name: str, rows: Iterable[_T], name_of: Callable[[_T], str]) -> _T:
    """The row of this name. NotFoundError says which there are."""
    by_name = {name_of(row): row for row in rows}
    if name not in by_name:
        raise no_such(kind, name, by_name)
    return by_name[name]
