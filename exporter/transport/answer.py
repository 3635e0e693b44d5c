"""A response that was read to its end, and the error it stands for when it is no answer."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.redact import redact_text

_MESSAGE_LENGTH = 300
_NOT_DOWN = {
    401: "it is up; the token is missing, wrong or expired",
    403: "it is up; the token does not allow this",
}
"""What an operator must not take for an outage."""
_LONGEST_RETRY_AFTER = timedelta(hours=1)
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""What breaks a line, steers a terminal, or (lone surrogates, from JSON) cannot be encoded."""


def clean_text(text: str, length: int = _MESSAGE_LENGTH) -> str:
    """Make foreign text fit for a log line: one line, bounded, without URL user info or tokens."""
    text = redact_text(_USER_INFO.sub("", text[: 20 * length]))
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= length else text[: length - 1] + "…"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was read to its end. ``place`` names the call in messages."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    place: str

    def json(self) -> Any:  # noqa: ANN401 - JSON is anything; adapters validate it
        """The parsed body; ``bad_body`` when it is not JSON."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self.bad_body("not JSON") from error

    def bad_body(self, what: str) -> CallFailedError:
        """The error for a body that is not what was asked for."""
        return CallFailedError(
            Reason.BAD_BODY, f"{self.place}: the answer is {what}", http_status=self.status
        )

    def failure(self) -> CallFailedError:
        """The error for a status that is no answer to the question."""
        message, code = self.remote_error()
        match self.status:
            case 401 | 403:
                reason = Reason.UNAUTHORIZED
            case 429 | 503:
                reason = Reason.THROTTLED
            case _:
                reason = Reason.HTTP_STATUS
        known = f" ({_NOT_DOWN[self.status]})" if self.status in _NOT_DOWN else ""
        return CallFailedError(
            reason,
            f"{self.place}: answered {self.status}{known}{': ' if message else ''}{message}",
            http_status=self.status,
            retry_after=_retry_after(self.headers.get("retry-after")),
            code=code,
        )

    def remote_error(self) -> tuple[str, str | None]:
        """What the other side says went wrong, and its own code for it."""
        if self.headers.get("content-type", "").startswith("text/plain"):
            return clean_text(self.body.decode("utf-8", "replace")), None
        try:
            said = jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            return "", None
        if not isinstance(said, dict):
            return "", None
        message, code = said.get("message"), said.get("restate_code", said.get("code"))
        return (
            clean_text(message) if isinstance(message, str) else "",
            clean_text(code, 60) if isinstance(code, str) else None,
        )


def _retry_after(value: str | None) -> timedelta | None:
    """``Retry-After`` in seconds or as an HTTP date, at most an hour; None if unreadable."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            wait = timedelta(seconds=min(int(value), 10**6))
        else:
            wait = parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_RETRY_AFTER)
