"""One Restate environment as a person at a keyboard sees it: plain HTTP, no code of ours between.

Tests and demos look and act through this, so that what the daemon says is checked against the
server's own word. Running a server is left to `lab.server`.
"""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import quote

import httpx

_TIMEOUT_SECONDS = 10.0


class Restate:
    """Talks to a running Restate; every method blocks until the answer is there.

    What returns parsed JSON raises `httpx.HTTPStatusError` on an error status; `admin` and `call`
    return the response as it is.
    """

    def __init__(self, *, ingress_url: str, admin_url: str, node_url: str) -> None:
        self.ingress_url = ingress_url
        self.admin_url = admin_url
        self.node_url = node_url
        # No connection is kept: the server may be killed between two calls. No certificate is
        # checked and so none is loaded, which takes 20 ms: these are loopback addresses.
        self._http = httpx.Client(
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
            verify=False,  # noqa: S501
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def admin(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send one request to the admin API; `body` as JSON unless it is None."""
        json = {} if body is None else {"json": body}
        return self._http.request(method, self.admin_url + path, **json)  # type: ignore[arg-type]

    def version(self) -> str:
        """Return the server's version, like 1.7.12."""
        return str(_json(self.admin("GET", "/version"))["version"])

    def register(
        self, url: str, *, force: bool = True, dry_run: bool = False, **more: object
    ) -> dict[str, Any]:
        """Register the worker at `url` and return the server's answer: `id`, `services`, ...

        `more` goes into the body as it is: `metadata`, `additional_headers`, `use_http_11`.
        """
        body = {"uri": url, "force": force, "dry_run": dry_run, **more}
        return _json(self.admin("POST", "/deployments", body))

    def deployments(self) -> list[dict[str, Any]]:
        """Return the registered deployments as the admin API lists them."""
        return list(_json(self.admin("GET", "/deployments"))["deployments"])

    def delete_deployment(self, deployment_id: str) -> None:
        """Delete a deployment, used or not, as `?force=true` does."""
        self.admin("DELETE", f"/deployments/{deployment_id}?force=true").raise_for_status()

    def services(self) -> list[dict[str, Any]]:
        """Return the registered services as the admin API lists them."""
        return list(_json(self.admin("GET", "/services"))["services"])

    def exposed(self) -> list[str]:
        """Return the names of the services that the ingress knows of, its own view."""
        names = _json(self._http.get(f"{self.ingress_url}/restate/health"))["services"]
        return sorted(names)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of an introspection query; columns that are null are left out."""
        # Without exactly this header the answer is in Arrow's format.
        answer = self._http.post(
            f"{self.admin_url}/query", json={"query": sql}, headers={"accept": "application/json"}
        )
        return list(_json(answer)["rows"])

    def call(
        self,
        service: str,
        handler: str,
        body: object = None,
        *,
        key: str | None = None,
        send: bool = False,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> httpx.Response:
        """Call a handler through the ingress, or with `send` only hand the call in.

        `key` is needed for objects and workflows. `body` goes as JSON unless it is None. The
        answer to a send has `invocationId` and `status` in its JSON.
        """
        parts = [service, *([quote(key, safe="")] if key is not None else []), handler]
        parts += ["send"] if send else []
        json = {} if body is None else {"json": body}
        return self._http.post(
            "/".join([self.ingress_url, *parts]),
            timeout=timeout_seconds,
            **json,  # type: ignore[arg-type]
        )

    def status(self, invocation_id: str) -> str | None:
        """Return an invocation's status in the words of `sys_invocation`; None if unknown."""
        rows = self.query(f"SELECT status FROM sys_invocation WHERE id = '{invocation_id}'")  # noqa: S608
        return str(rows[0]["status"]) if rows else None

    def is_healthy(self) -> bool:
        """Tell whether ingress and admin answer and the partitions answer a query."""
        try:
            self.admin("GET", "/health").raise_for_status()
            self.exposed()
            # The health routes answer before the partitions do.
            self.query("SELECT COUNT(1) FROM sys_invocation_status")
        except httpx.HTTPError:
            return False
        return True

    def close(self) -> None:
        """Give back the HTTP client."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        message = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
    return dict(answer.json())
