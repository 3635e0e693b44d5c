"""Base URLs as people write them: a path is kept, user info becomes an authorization header."""

from __future__ import annotations

import base64
from urllib.parse import unquote, urlsplit, urlunsplit

from exporter.model.errors import ConfigurationError
from exporter.transport.answer import clean_text


def split_base(base_url: str) -> tuple[str, dict[str, str]]:
    """Split user info from a base URL: the URL without it, and the basic authorization header.

    Raises ``ConfigurationError`` for what is not an http(s) URL, or has a query or a fragment.
    """
    try:
        parts = urlsplit(base_url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or parts.query or parts.fragment:
        shown = clean_text(base_url)
        raise ConfigurationError(
            [f"{shown!r} is not a base URL; write http(s)://host:port, perhaps with a path"]
        )
    user, at, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    if not at:
        return clean, {}
    name, _, password = user.partition(":")
    return clean, {"authorization": basic(unquote(name), unquote(password))}


def basic(user: str, password: str) -> str:
    """The authorization header of a user name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def authorization(secret: str | None, user: str | None) -> str | None:
    """The header for a user's password, or without a user for a bearer token; None without any."""
    if secret is None:
        return None
    return f"Bearer {secret}" if user is None else basic(user, secret)
