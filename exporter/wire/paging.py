"""Lists in pages: each answer names the cursor at which the next one goes on.

A cursor is the immutable key of the last row that was shown, so that rows which come or go in
between move nothing: what was there all the time is shown once, in order.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import TypeVar

MOST = 1000
"""Rows of a page at most."""
LONGEST_CURSOR = 4096
Key = tuple[str, ...]
_T = TypeVar("_T")


def cursor_of(kind: str, key: Key) -> str:
    """The cursor after the row of this key, in the list of this kind."""
    text = json.dumps([kind, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_of(kind: str, cursor: str) -> Key:
    """The key that a cursor stands for. ValueError when it is none of this list."""
    mend = "is no cursor of this list: write the nextCursor of its last answer"
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError(mend) from error
    match found:
        case [str() as named, *key] if named == kind and all(isinstance(k, str) for k in key):
            return tuple(key)
        case _:
            raise ValueError(mend)


def page(
    rows: Iterable[_T], *, key: Callable[[_T], Key], after: Key | None, limit: int | None
) -> tuple[tuple[_T, ...], Key | None]:
    """The next rows in the order of their keys, which differ, and the key to go on after.

    That key is None when these are the last ones. Without ``limit`` all are.
    """
    left = sorted((r for r in rows if after is None or key(r) > after), key=key)
    if limit is None or len(left) <= limit:
        return tuple(left), None
    return tuple(left[:limit]), key(left[limit - 1])
