"""What a token tells about itself; nothing in it is verified, and nothing of it is shown."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.token import TokenKind, Tokens, expiry_of, kind_of, tokens_of

EXPIRES = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def jwt(claims: object) -> str:
    """Three parts, without padding, as a login writes them."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (None, TokenKind.NONE),
        ("", TokenKind.NONE),
        (jwt({}), TokenKind.JWT),
        ("key_0123456789", TokenKind.API_KEY),
        ("Key_0123456789", TokenKind.OTHER),
        ("secret", TokenKind.OTHER),
    ],
)
def test_a_token_is_known_by_how_it_begins(token: str | None, kind: TokenKind) -> None:
    """Restate Cloud's two credentials look nothing alike."""
    assert kind_of(token) is kind


@pytest.mark.parametrize("more", ["", "?", "??", "???>>>"])
def test_a_jwt_says_when_it_expires(more: str) -> None:
    """Whatever its length is, and whichever characters its encoding needs."""
    claims = {"exp": EXPIRES.timestamp(), "sub": more}
    assert expiry_of(jwt(claims)) == EXPIRES
    assert expiry_of(jwt({"exp": int(EXPIRES.timestamp())})) == EXPIRES


@pytest.mark.parametrize(
    "claims",
    [
        {},
        [],
        "exp",
        None,
        {"exp": None},
        {"exp": True},
        {"exp": "1800000000"},
        {"exp": 1e300},
        {"exp": float("nan")},
        {"exp": float("-inf")},
        {"exp": [1_800_000_000]},
    ],
)
def test_what_does_not_say_so_readably_says_nothing(claims: Any) -> None:
    """Absent, never zero: an alert on zero would ring for every such token."""
    assert expiry_of(jwt(claims)) is None


@given(st.text() | st.text(alphabet="eyJ.=_-09AZ").map(lambda t: f"eyJ.{t}.x"))
def test_garbage_is_no_crash(token: str) -> None:
    """Secret files hold anything."""
    assert expiry_of(token) is None or kind_of(token) is not TokenKind.NONE


def test_nested_for_ever_is_no_crash() -> None:
    """A parser's recursion ends somewhere."""
    deep = base64.urlsafe_b64encode(b"[" * 40_000).decode()
    assert expiry_of(f"eyJ.{deep}.x") is None
    assert expiry_of(f"eyJ.{'A' * 10**6}.x") is None


def test_only_the_kinds_are_kept() -> None:
    """Neither credential can be read from what is passed on."""
    token = jwt({"exp": EXPIRES.timestamp()})
    found = tokens_of(ingress="key_hunter2hunter2", admin=token)
    assert found == Tokens(TokenKind.API_KEY, TokenKind.JWT, EXPIRES)
    assert "hunter2" not in repr(found)
    assert token not in repr(found)
