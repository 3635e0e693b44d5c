"""How facts become stored text: JSON in one canonical form, free of secrets.

What counts as a secret is ``model.redact``'s to say.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from exporter.model.redact import redact_text, redact_user_info, sanitise

Json: TypeAlias = Any
"""What ``json`` reads and writes."""

_LONGEST_KEY = 256
_KEPT_OF_LONG_KEY = 240
_DIGEST_LENGTH = 12


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces, ASCII only: the same facts are the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def clean(value: object) -> Json:
    """Plain JSON data without secrets, from whatever a caller calls JSON.

    A duration becomes text that ``parse_duration`` reads (``90.5s``), a moment its ISO form.
    """
    return sanitise(_plain(value))


def clean_text(text: str) -> str:
    """Text without secrets and without what a database refuses (NUL, lone surrogates)."""
    return redact_text(_storable(text))


@lru_cache(maxsize=65_536)
def item_key(key: str) -> str:
    """The stored form of an item's key: free of secrets, yet different for different items.

    A user's workflow key may look like a token, and it may be long. Hiding or cutting it would
    count two items as one, so a digest of it is added then. The user info of a URL is no part of
    what an item is, and goes without trace. The stored form of a stored form is itself.
    """
    located = redact_user_info(_storable(key))
    shown = redact_text(located)
    if shown == located and len(shown) <= _LONGEST_KEY:
        return shown
    digest = hashlib.sha256(located.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{shown[:_KEPT_OF_LONG_KEY]}#{digest}"


def _storable(text: str) -> str:
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: object) -> Json:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _storable(value)
        case timedelta():
            return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {_storable(str(k)): _plain(v) for k, v in value.items()}
        case set() | frozenset():
            return [_plain(v) for v in sorted(value, key=str)]
        case list() | tuple():
            return [_plain(v) for v in value]
        case _:
            return _storable(str(value))
