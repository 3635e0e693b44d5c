"""Keeping secrets out of whatever is shown or stored: logs, ledger, errors, pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "REDACTED"
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s\"]*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_TOKEN = re.compile(r"\b(?:key_[A-Za-z0-9._-]{8,}|rm_[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9._-]{16,})")
_SECRET_NAME = re.compile(
    r"(?i)^(auth|.*(authorization|token|secret|password|passwd|api[-_]?key|cookie|credential).*)$"
)
_HEADERS = re.compile(r"(?i)^.*headers$")


def redact_user_info(text: str) -> str:
    """Replace URL user info with ``REDACTED@`` and leave everything else."""
    if "@" not in text:
        return text
    return _USER_INFO.sub(rf"\g<scheme>{REDACTED}@", text)


def redact_text(text: str) -> str:
    """Replace URL user info with ``REDACTED@`` and anything that looks like a token.

    Host, path, query and fragment stay, as the operator API documents.
    """
    text = redact_user_info(text)
    text = _BEARER.sub(rf"\g<1> {REDACTED}", text)
    return _TOKEN.sub(REDACTED, text)


def sanitise(value: Any, *, name: str = "") -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Copy JSON-like data with secrets replaced: by name (tokens, headers) and inside text."""
    if isinstance(value, (bool, int, float)) or value is None:
        return value  # a service may be named like a secret; its revision is none
    if name and (_SECRET_NAME.match(name) or _HEADERS.match(name)):
        return REDACTED if value else value
    if isinstance(value, Mapping):
        return {redact_text(str(k)): sanitise(v, name=str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        rows = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [sanitise(v) for v in rows]
    if isinstance(value, str):
        return redact_text(value)
    return value
