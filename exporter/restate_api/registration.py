"""What must be sent to register a deployment, secrets included: never printed, never in a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.model.views import DeploymentKind


@dataclass(frozen=True, slots=True)
class Registration:
    """The details of one deployment that a forced registration wipes unless they are sent again.

    Restate tells header values in clear text (restate-facts, Deployments); ``repr`` shows names.
    """

    url: str
    kind: DeploymentKind = "http"
    additional_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    auth: Mapping[str, Any] | None = field(default=None, repr=False)
    use_http_11: bool = False
    assume_role_arn: str | None = None

    @classmethod
    def of(cls, url: str) -> Registration:
        """A first registration of ``url`` (an ARN makes it a Lambda function), without details."""
        return cls(url=url, kind="lambda" if url.startswith("arn:") else "http")

    @property
    def header_names(self) -> tuple[str, ...]:
        """The names of the additional headers, which may be told."""
        return tuple(sorted(self.additional_headers))

    def body(self, *, force: bool, dry_run: bool) -> dict[str, Any]:
        """The body of ``POST /deployments``.

        ``force`` is always written: what it is when left out differs by version.
        """
        body: dict[str, Any] = {"force": force, "dry_run": dry_run}
        if self.kind == "lambda":
            body["arn"] = self.url
            if self.assume_role_arn is not None:
                body["assume_role_arn"] = self.assume_role_arn
        else:
            body |= {"uri": self.url, "use_http_11": self.use_http_11}
            if self.auth is not None:
                body["auth"] = dict(self.auth)
        if self.additional_headers:
            body["additional_headers"] = dict(self.additional_headers)
        if self.metadata:
            body["metadata"] = dict(self.metadata)
        return body
