"""One try to hand a message to a webhook, and what its answer means for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from exporter.model.errors import CallFailedError, ConfigurationError
from exporter.transport import BrokenAnswerError, Transport

_SUCCESS = tuple(range(200, 300))
_ROTATED = frozenset({401, 403, 404, 410})
"""How webhooks answer to a URL that is not, or no longer, theirs."""
_LATER = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_MOST_BYTES = 64 * 1024
_NO_URL = "the webhook's secret is not an http(s) URL"


class Secret(Protocol):
    """A secret that may change: secret files are rotated under us."""

    def __call__(self) -> str | None:
        """The secret as last read."""

    def refresh(self) -> None:
        """Read it again."""


@dataclass(frozen=True, slots=True)
class Try:
    """What one try came to."""

    delivered: bool = False
    again: bool = False
    """Whether another one may succeed."""
    detail: str = ""
    """What went wrong, in our own words: an answer may repeat the URL it was asked at."""
    wait: timedelta | None = None
    """How long the other side asks to wait."""


def split_webhook(url: str) -> tuple[str, str]:
    """Split a webhook's URL into where it is and what is asked for there, its query included.

    ValueError, which does not repeat the URL, when it is none.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable:
        raise ValueError(_NO_URL)
    base = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    return base, urlunsplit(("", "", parts.path or "/", parts.query, ""))


class Webhook:
    """Posts JSON to the URL of this moment; after it was turned away it reads the secret again."""

    def __init__(self, url: Secret, transport: Transport) -> None:
        self._url = url
        self._transport = transport

    async def post(self, body: dict[str, Any], timeout: timedelta) -> Try:  # noqa: ASYNC109 - the transport applies it
        """Make one try. Never raises for what the other side does."""
        try:
            base, path = split_webhook(self._url() or "")
            client = self._transport.client(base, timeout=timeout, max_bytes=_MOST_BYTES)
            await client.request("POST", path, json=body, expect=_SUCCESS)
        except BrokenAnswerError:
            return Try(delivered=True)  # it had said yes
        except CallFailedError as error:
            return self._failed(error)
        except (ValueError, ConfigurationError):
            self._url.refresh()
            return Try(again=True, detail=_NO_URL)
        return Try(delivered=True)

    def _failed(self, error: CallFailedError) -> Try:
        status = error.http_status
        if status is None:
            return Try(again=True, detail=f"no answer: {error.reason}")
        if status in _SUCCESS:
            return Try(delivered=True)  # whatever is wrong with the rest of its answer
        detail = f"answered {status}"
        if status in _ROTATED:
            before = self._url()
            self._url.refresh()
            changed = self._url() != before
            return Try(again=True, detail=detail, wait=timedelta(0) if changed else None)
        again = status in _LATER or status >= _SERVER_ERROR
        # "At once" is no wait of its own: a server that says so gets our usual pauses.
        return Try(again=again, detail=detail, wait=error.retry_after or None)
