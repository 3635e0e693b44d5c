"""Calls to one remote operator recovery API: doctor, and three writes that answer when verified.

Only documented fields are sent, unless a person named an override: a platform may refuse what it
does not know. Why is sent in a header, which it may ignore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel

from exporter.model.component import Component
from exporter.model.redact import REDACTED
from exporter.operator_api.errors import reading_failed, writing_failed
from exporter.operator_api.told import Told, told_of
from exporter.transport import Answer, HttpClient, TokenProvider, Transport, clean_text
from exporter.wire.operator import (
    LONGEST_REASON,
    PREFIX,
    CleanupBody,
    Code,
    DoctorBody,
    ForceRedeployBody,
    RecoverBody,
)

DOCTOR_TIMEOUT: Final = timedelta(seconds=45)
"""restate-medic itself waits up to 30 s for fresh readings."""
WRITE_TIMEOUT: Final = timedelta(minutes=5)
"""The other side discovers, drains, deletes one by one and verifies before it answers."""
_KEY_HEADER: Final = "x-api-key"
_ANY_STATUS: Final = tuple(range(200, 600))
_DOCTOR_BYTES: Final = 4 * 1024 * 1024
_WRITE_BYTES: Final = 256 * 1024
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The other side did it, and saw it done, unless ``unverified`` says what it missed."""

    deployment_id: str | None = None
    operation_id: str | None = None
    """Of the other side's own record, if it tells."""
    unverified: str = ""


class OperatorApi:
    """One remote operator API, and one target of it. Errors are MedicErrors, without the key."""

    def __init__(
        self,
        transport: Transport,
        *,
        url: str,
        key: TokenProvider,
        target: str | None,
        doctor_timeout: timedelta = DOCTOR_TIMEOUT,
        write_timeout: timedelta = WRITE_TIMEOUT,
    ) -> None:
        self._http: HttpClient = transport.client(url, token=key, token_header=_KEY_HEADER)
        self._key = key
        self._query = "" if target is None else f"?target={quote(target, safe='')}"
        self._doctor_timeout = doctor_timeout
        self._write_timeout = write_timeout

    @property
    def base_url(self) -> str:
        """Where it is, without user info."""
        return self._http.base_url

    async def doctor(self) -> dict[Component, Told]:
        """Ask how the five components are. CallFailedError when there is no usable answer."""
        answer = await self._post("doctor", DoctorBody(), timeout=self._doctor_timeout)
        if answer.status != HTTPStatus.OK:
            raise reading_failed(answer)
        body = answer.json()
        if not isinstance(body, dict):
            raise answer.bad_body("no object")
        return told_of(body)

    async def force_redeploy(
        self, url: str, *, force: bool, allow: Iterable[str] = (), why: str = ""
    ) -> Acknowledgement:
        """Register a worker again. Raises as ``_write``."""
        extra = {"allow": sorted(allow)} if allow else {}
        body = ForceRedeployBody.model_validate({"serviceUrl": url, "force": force, **extra})
        return await self._write("force-redeploy", body, why)

    async def cleanup(self, url: str, *, why: str = "") -> Acknowledgement:
        """Keep the deployment at a URL and delete the others. Raises as ``_write``."""
        body = CleanupBody.model_validate({"serviceUrl": url, "forceDrain": False})
        return await self._write("cleanup-stale-deployments", body, why)

    async def recover(
        self, service: str, key: str, *, allow: Iterable[str] = (), why: str = ""
    ) -> Acknowledgement:
        """Free a workflow key. Raises as ``_write``."""
        extra = {"allow": sorted(allow)} if allow else {}
        given = {"serviceName": service, "serviceKey": key, **extra}
        return await self._write("recover-stuck-workflow", RecoverBody.model_validate(given), why)

    async def _write(self, route: str, body: BaseModel, why: str) -> Acknowledgement:
        """Make one write.

        RefusedElsewhereError: it was refused, and nothing was done. RefusedError: it was begun and
        failed. CallFailedError: no answer, or none that tells (``outcome_unknown``).
        """
        answer = await self._post(route, body, why=why, timeout=self._write_timeout)
        operation = answer.headers.get("x-operation-id", "")
        operation_id = self._scrub(clean_text(operation, 100)) or None
        if answer.status != HTTPStatus.OK:
            failed = answer.failure()
            if failed.code == Code.OPERATION_UNVERIFIED:
                return Acknowledgement(operation_id=operation_id, unverified=str(failed))
            raise writing_failed(answer)
        said = answer.json()
        if not isinstance(said, dict) or said.get("acknowledged") is not True:
            raise answer.bad_body("no acknowledgement")
        deployment = said.get("deploymentId")
        if route == "force-redeploy" and not (isinstance(deployment, str) and deployment):
            raise answer.bad_body("an acknowledgement without deploymentId")
        known = clean_text(deployment, 100) if isinstance(deployment, str) else None
        return Acknowledgement(deployment_id=known, operation_id=operation_id)

    async def _post(
        self,
        route: str,
        body: BaseModel,
        *,
        why: str = "",
        timeout: timedelta,  # noqa: ASYNC109 - of the whole exchange, applied by the transport
    ) -> Answer:
        """The answer, whatever its status. A write's may be shorter than a doctor's."""
        headers: Mapping[str, str] = {"x-reason": clean_text(why, LONGEST_REASON)} if why else {}
        sent: dict[str, Any] = body.model_dump(by_alias=True, exclude_unset=True)
        answer = await self._http.request(
            "POST",
            f"{PREFIX}/{route}{self._query}",
            json=sent,
            headers=headers,
            timeout=timeout,
            max_bytes=_DOCTOR_BYTES if route == "doctor" else _WRITE_BYTES,
            expect=_ANY_STATUS,
        )
        return replace(answer, body=self._scrub(answer.body.decode("utf-8", "replace")).encode())

    def _scrub(self, text: str) -> str:
        """What the other side says, without our key, which it may quote."""
        key = self._key()
        return text.replace(key, REDACTED) if key and len(key) >= _SHORTEST_SECRET else text
