"""Calls to the read and control API of a restate-medic that runs: what commands are told by it.

Answers are the bodies of ``wire``; an error has the other side's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter, ValidationError

from exporter.model.errors import CallFailedError, MedicError, NotFoundError, RefusedError
from exporter.operator_api.errors import LostOutcomeError, lost, writing_failed
from exporter.transport import Answer, TokenProvider, Transport
from exporter.wire.operator import Code

_T = TypeVar("_T")
_KEY_HEADER: Final = "x-api-key"
_ANY_STATUS: Final = tuple(range(200, 600))
_MOST_BYTES: Final = 32 * 1024 * 1024
_TIMEOUT: Final = timedelta(seconds=30)
LONG: Final = timedelta(minutes=10)
"""For what is answered only when an operation is closed."""
_NOT_FOUND = frozenset({Code.NOT_FOUND, Code.TARGET_NOT_FOUND})


class ControlApi:
    """One daemon. Errors are MedicErrors, without the key."""

    def __init__(
        self, transport: Transport, *, url: str, key: TokenProvider | None, without_key: str = ""
    ) -> None:
        """``without_key`` is said when a key is needed and there is none."""
        self._http = transport.client(
            url, token=key, token_header=_KEY_HEADER, timeout=_TIMEOUT, max_bytes=_MOST_BYTES
        )
        self._without_key = "" if key is not None else without_key

    @property
    def base_url(self) -> str:
        """Where it is, without user info."""
        return self._http.base_url

    async def get(self, kind: type[_T], *path: str, **query: object) -> _T:
        """Read one body. NotFoundError, or CallFailedError when there is no usable answer."""
        return await self._ask(kind, "GET", _path(path, query), only_reads=True)

    async def post(
        self,
        kind: type[_T],
        *path: str,
        body: Mapping[str, Any] | None = None,
        timeout: timedelta = _TIMEOUT,  # noqa: ASYNC109 - of the one call
        only_reads: bool = False,
    ) -> _T:
        """Order something. RefusedError: it was not done, and why; else as ``get``.

        LostOutcomeError: nobody knows whether it was done; never of what ``only_reads``.
        """
        return await self._ask(
            kind,
            "POST",
            _path(path, {}),
            json=dict(body or {}),
            timeout=timeout,
            only_reads=only_reads,
        )

    async def delete(self, kind: type[_T], *path: str, **query: object) -> _T:
        """Take something back. As ``post``."""
        return await self._ask(kind, "DELETE", _path(path, query))

    async def _ask(
        self,
        kind: type[_T],
        method: str,
        path: str,
        *,
        json: object = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 - of the one call
        only_reads: bool = False,
    ) -> _T:
        try:
            answer = await self._http.request(
                method, path, json=json, timeout=timeout, expect=_ANY_STATUS
            )
            if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._failure(answer, only_reads=only_reads)
            return _body(kind, answer)
        except LostOutcomeError:
            raise
        except CallFailedError as error:
            if only_reads or not error.outcome_unknown:
                raise
            raise lost(error) from error

    def _failure(self, answer: Answer, *, only_reads: bool) -> MedicError:
        """The other side's own sentence; where the call went is not news to who wrote the URL."""
        said, code = answer.remote_error()
        if code in _NOT_FOUND:
            return NotFoundError(said, kind=_kind_of(answer))
        error = writing_failed(answer)
        if isinstance(error, LostOutcomeError) and only_reads:
            return answer.failure()
        if answer.headers.get("www-authenticate", "").startswith("ApiKey"):
            said = self._without_key or said
        if said and isinstance(error, RefusedError):
            error.args = (said,)
        return error


def _path(parts: tuple[str, ...], query: Mapping[str, object]) -> str:
    path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
    said = {name: str(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(said)}" if said else path


def _body(kind: type[_T], answer: Answer) -> _T:
    try:
        return TypeAdapter(kind).validate_python(answer.json())
    except ValidationError as error:
        said = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, said["loc"]))
        what = f"not as this version knows it: {place}: {said['msg']}"
        raise answer.bad_body(what) from error


def _kind_of(answer: Answer) -> str:
    """What was not found, in the other side's word."""
    data = answer.json().get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    return kind if isinstance(kind, str) else "row"
