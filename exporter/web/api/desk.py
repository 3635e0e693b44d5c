"""Between the routes and what carries things out: whose attempt, on which target, how it went.

Every attempt that got in is in the ledger: by ``people`` when it reached a target, else by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response

from exporter.model.errors import MedicError
from exporter.model.operation import Operation, Request
from exporter.people import People
from exporter.policy.words import did_you_mean
from exporter.web.api.caller import kept, request_of
from exporter.web.api.errors import failure_response
from exporter.web.api.failures import Failure, failure_of, failure_of_operation
from exporter.wire.doctor import doctor_answer
from exporter.wire.operator import Code

OPERATION_HEADER = "X-Operation-Id"
_NAMES_SHOWN = 20


class Desk:
    """Takes what key holders ask for over HTTP."""

    def __init__(
        self,
        *,
        people: Callable[[], People],
        targets: Callable[[], Iterable[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._people = people
        self._targets = targets
        self._now = now

    async def doctor(self, http: HttpRequest, target: str | None, reason: str | None) -> Response:
        """How the five components are; whatever is wrong with them, this answers."""
        request = self._request(http, "doctor", target, {}, reason=reason)
        missing = await self._without_target(request, target)
        if missing is not None:
            return failure_response(missing, request_id=http.state.request_id)
        report = await self._people().doctor(self._placed(request))
        return JSONResponse(doctor_answer(report, now=self._now()).as_json())

    async def act(
        self,
        http: HttpRequest,
        remedy: str,
        target: str | None,
        arguments: Mapping[str, Any],
        *,
        allow: Iterable[str] = (),
        reason: str | None,
        answer: Callable[[Operation], dict[str, Any]],
    ) -> Response:
        """Carry out a remedy and answer when its operation is closed."""
        request = self._request(http, remedy, target, arguments, allow=allow, reason=reason)
        failure = await self._without_target(request, target)
        operation: Operation | None = None
        if failure is None:
            try:
                operation = await self._people().perform(self._placed(request))
                failure = failure_of_operation(operation)
            except MedicError as error:
                failure = failure_of(error, remedy)
        if failure is not None:
            response = failure_response(failure, request_id=http.state.request_id)
        else:
            assert operation is not None  # noqa: S101 - without one there is a failure
            response = JSONResponse(answer(operation))
        if operation is not None:
            response.headers[OPERATION_HEADER] = operation.id
        return response

    async def refused(
        self, http: HttpRequest, remedy: str, body: object, reason: str, problem: str
    ) -> None:
        """Write down an attempt whose body or query nobody can act on."""
        target = http.query_params.get("target")
        request = self._request(http, remedy, target, kept(body), reason=None)
        await self._people().refused(request, reason, problem)

    def _request(
        self,
        http: HttpRequest,
        remedy: str,
        target: str | None,
        arguments: Mapping[str, Any],
        *,
        allow: Iterable[str] = (),
        reason: str | None,
    ) -> Request:
        return request_of(
            http,
            remedy,
            target=target,
            arguments=arguments,
            allow=allow,
            reason=reason,
            now=self._now(),
        )

    async def _without_target(self, request: Request, target: str | None) -> Failure | None:
        """Why it is not known which target is meant, if so; that is written down too."""
        names = sorted(self._targets())
        if target in names or (target is None and len(names) == 1):
            return None
        shown = {"targets": names[:_NAMES_SHOWN]}
        if target is None:
            message = f"there are {len(names)} targets: name one with ?target="
            failure = Failure(Code.TARGET_AMBIGUOUS, message, shown)
        else:
            hint = did_you_mean(target, names)
            failure = Failure(Code.TARGET_NOT_FOUND, f"there is no such target{hint}", shown)
        word = "target-ambiguous" if target is None else "target-not-found"
        await self._people().refused(request, word, failure.message)
        return failure

    def _placed(self, request: Request) -> Request:
        """The request on the target that is meant: the one named, or the only one."""
        return request if request.target else replace(request, target=next(iter(self._targets())))
