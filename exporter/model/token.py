"""What a bearer token tells about itself without being verified: its kind, and when it expires.

Restate Cloud takes two credentials on two ports: an API key (``key_…``) at the ingress, and at the
admin API an API key of the role Admin or the JWT (``eyJ…``) that ``restate cloud login`` wrote
(restate-facts, Health; the manual, Restate Cloud). Nothing here ever holds or shows a token.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

_PARTS_OF_A_JWT = 3
_LONGEST = 64 * 1024


class TokenKind(StrEnum):
    """What a token looks like."""

    NONE = "none"
    JWT = "JWT"
    API_KEY = "API key"
    OTHER = "other"
    """Of a proxy before a Restate of one's own, say."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The credentials of one target, without the credentials."""

    ingress: TokenKind = TokenKind.NONE
    admin: TokenKind = TokenKind.NONE
    admin_expires_at: datetime | None = None
    """None when there is no JWT, or one that does not say."""


def kind_of(token: str | None) -> TokenKind:
    """The kind, by how the token begins."""
    if not token:
        return TokenKind.NONE
    if token.startswith("eyJ"):
        return TokenKind.JWT
    return TokenKind.API_KEY if token.startswith("key_") else TokenKind.OTHER


def expiry_of(token: str | None) -> datetime | None:
    """When a JWT says that it expires; None for anything that does not say so readably."""
    parts = (token or "").split(".")
    if len(parts) != _PARTS_OF_A_JWT or len(parts[1]) > _LONGEST:
        return None
    try:
        claims = json.loads(base64.b64decode(_padded(parts[1]), altchars=b"-_", validate=True))
        expires = claims.get("exp") if isinstance(claims, dict) else None
        if isinstance(expires, bool) or not isinstance(expires, (int, float)):
            return None
        return datetime.fromtimestamp(expires, tz=UTC) if math.isfinite(expires) else None
    except (ValueError, OverflowError, OSError, RecursionError, binascii.Error):
        return None


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def tokens_of(*, ingress: str | None, admin: str | None) -> Tokens:
    """What two tokens tell."""
    return Tokens(kind_of(ingress), kind_of(admin), expiry_of(admin))


def ingress_refusal(kind: TokenKind) -> str:
    """Why an ingress may have answered 401 or 403, and what it wants."""
    wants = "the ingress wants the API key (key_…)"
    match kind:
        case TokenKind.NONE:
            return f"ingress_token is not set; {wants}"
        case TokenKind.JWT:
            return f"ingress_token is a JWT, which only the admin API takes; {wants}"
        case TokenKind.API_KEY:
            return "ingress_token is an API key, but one that is wrong, revoked or of elsewhere"
        case TokenKind.OTHER:
            return f"ingress_token is wrong; on Restate Cloud {wants}"


def admin_refusal(tokens: Tokens, now: datetime) -> str:
    """Why an admin API may have answered 401 or 403, and what it wants."""
    wants = "the admin API wants an API key of the role Admin, or the JWT of restate cloud login"
    expires = tokens.admin_expires_at
    match tokens.admin:
        case TokenKind.NONE:
            return f"admin_token is not set; {wants}"
        case TokenKind.JWT if expires is not None and expires <= now:
            return f"admin_token is a JWT that expired at {expires:%F %T}Z; log in again"
        case TokenKind.JWT:
            return "admin_token is a JWT that is refused although it does not say it expired"
        case TokenKind.API_KEY:
            return f"admin_token is an API key, which needs the role Admin; {wants}"
        case TokenKind.OTHER:
            return f"admin_token is wrong; on Restate Cloud {wants}"
