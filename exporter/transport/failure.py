"""What broke a call, in the bounded words of ``Reason``: the only place that knows the libraries'.

httpx-aiohttp 0.2 calls a server that hangs up a connect timeout, and lets some of aiohttp's errors
through as they are. So the causes are asked first and httpx's own classes last.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import aiohttp
import httpx

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.transport.answer import clean_text

_BROKEN = "the connection broke before the answer was complete"
_SLOW = "no complete answer in time"
_GARBLED = "what answers does not speak proper HTTP"

_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason, str], ...] = (
    ((ssl.SSLError, aiohttp.ClientSSLError), Reason.TLS, "no TLS connection could be made"),
    (
        (socket.gaierror, aiohttp.ClientConnectorDNSError),
        Reason.DNS,
        "the host name has no address",
    ),
    (ConnectionRefusedError, Reason.REFUSED, "connection refused"),
    (aiohttp.ConnectionTimeoutError, Reason.TIMEOUT, "no connection in time"),
    (TimeoutError, Reason.TIMEOUT, _SLOW),
    (ConnectionError, Reason.RESET, _BROKEN),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), Reason.RESET, _BROKEN),
    (aiohttp.ClientConnectorError, Reason.REFUSED, "the connection could not be made"),
    ((aiohttp.ClientOSError, EOFError), Reason.RESET, _BROKEN),
    ((aiohttp.ClientError, httpx.InvalidURL, UnicodeError), Reason.PROTOCOL, _GARBLED),
    (httpx.TimeoutException, Reason.TIMEOUT, _SLOW),
    (httpx.HTTPError, Reason.PROTOCOL, _GARBLED),
)
"""Most telling first: the first row that fits any link of the chain names it."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
)


class BrokenAnswerError(CallFailedError):
    """The answer had begun, with a status that was expected, and did not arrive whole."""


def translate(
    error: Exception, place: str, *, built: bool = True, answering: bool = False
) -> CallFailedError:
    """Name what went wrong by the most telling link of its chain; ``internal`` when none tells.

    ``built`` is whether there was a request to send at all, ``answering`` whether an answer began.
    """
    failed = BrokenAnswerError if answering else CallFailedError
    links = list(_chain(error))
    sent = built and not any(isinstance(link, _NEVER_SENT) for link in links)
    for kind, reason, words in _KINDS:
        for link in links:
            if isinstance(link, kind):
                return failed(reason, f"{place}: {_detail(link) or words}", sent=sent)
    return failed(Reason.INTERNAL, f"{place}: {type(error).__name__} while calling", sent=sent)


def _detail(link: BaseException) -> str | None:
    """What the system itself says, where that helps and holds no address."""
    if isinstance(link, aiohttp.ClientConnectorCertificateError):
        why = getattr(link.certificate_error, "verify_message", "")
        return f"the certificate is not trusted: {clean_text(why)}"
    if type(link) is aiohttp.ClientConnectorError and link.os_error.strerror:
        return clean_text(link.os_error.strerror)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception and what caused it, nearest first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
