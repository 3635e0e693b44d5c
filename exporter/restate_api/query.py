"""SQL over Restate's introspection tables: one statement at a time, rows validated.

A query that fails in any way is *unknown*, never empty (restate-facts, Invocations).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import TypeVar

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.restate_api.bodies import Body, parse
from exporter.restate_api.rows import Rows
from exporter.transport import BrokenAnswerError, HttpClient

QUERY_TIMEOUT = timedelta(seconds=30)
QUERY_MAX_BYTES = 32 * 1024 * 1024
_SQL_ERROR = (400, 500)
"""400 from 1.7.1 on, 500 before."""
_R = TypeVar("_R", bound=Body)


class Query:
    """Speaks to ``POST {admin_url}/query``."""

    def __init__(self, http: HttpClient, *, timeout: timedelta = QUERY_TIMEOUT) -> None:
        self._http = http
        self._timeout = timeout

    async def rows(self, statement: str, kind: type[_R]) -> list[_R]:
        """Run one SELECT and read every row as ``kind``.

        Raises CallFailedError: ``query_failed`` for an SQL error or a result that broke off,
        ``throttled`` for 429 and 503, ``bad_body`` for rows of another shape.
        """
        try:
            answer = await self._http.request(
                "POST",
                "/query",
                json={"query": statement},
                headers={"accept": "application/json"},  # exactly; otherwise Arrow comes back
                timeout=self._timeout,
                max_bytes=QUERY_MAX_BYTES,
            )
        except CallFailedError as error:
            broke_off = isinstance(error, BrokenAnswerError) and error.reason is Reason.RESET
            if broke_off or error.http_status in _SQL_ERROR:
                raise _query_failed(error) from error
            raise
        return parse(_rows_of(kind), answer).rows


@cache
def _rows_of(kind: type[_R]) -> type[Rows[_R]]:
    """Pydantic forgets a generic model nobody holds; building one takes longer than a query."""
    return Rows[kind]  # type: ignore[valid-type]


def literal(text: str) -> str:
    """Write a SQL string literal: the only way a value gets into a statement."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Write the inside of ``IN (…)``, in a stable order."""
    return ", ".join(literal(text) for text in sorted(set(texts)))


def _query_failed(error: CallFailedError) -> CallFailedError:
    return CallFailedError(Reason.QUERY_FAILED, str(error), http_status=error.http_status)
