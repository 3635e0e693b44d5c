"""What the chain is judged by: everything that was read for one question, and how the rest failed.

Built by the command from one report taken for the question, so nothing in it is older.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporter.model.component import Component, Status
from exporter.model.duration import format_duration
from exporter.model.findings import Findings
from exporter.model.report import Reading, Report
from exporter.model.target import Target, normalise_url
from exporter.model.token import Tokens
from exporter.model.views import Deployment, Discovery, DriftView, IngressView, Service
from exporter.model.work import Work

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One question and what is known about it. ``findings`` are those of ``report``."""

    service: str
    key: str | None
    report: Report
    findings: Findings
    now: datetime
    """For ages; the report may have taken a while."""
    tokens: Tokens = field(default_factory=Tokens)
    work: Work | None = None
    """None when it could not be read; ``work_error`` says why."""
    work_error: str = ""

    @property
    def target(self) -> Target:
        """The target that was asked."""
        return self.findings.target

    @property
    def again(self) -> tuple[str, ...]:
        """The command that asks the same question again."""
        return ("why", self.service, *(() if self.key is None else (self.key,)))

    @property
    def exposed(self) -> frozenset[str] | None:
        """The services that the ingress knows; None when that is unknown."""
        view = self.report.view(Component.INGRESS, IngressView, self.findings.at)
        return view.services if view else None

    @property
    def discoveries(self) -> tuple[Discovery, ...] | None:
        """What the endpoints answered; None when they were not asked."""
        view = self.report.view(Component.DRIFT, DriftView, self.findings.at)
        return view.discoveries if view else None

    @property
    def registered(self) -> Service | None:
        """The service as it is registered, if it is known to be."""
        return self.findings.services.get(self.service) if self.findings.services else None

    def reading(self, component: Component) -> Reading | None:
        """The component's reading, whatever it saw."""
        return self.report.readings.get(component)

    def failure(self, component: Component) -> str:
        """Why a component's facts are not known."""
        reading = self.reading(component)
        if reading is None:
            return "it was not read"
        if reading.status is Status.OK:
            return "its reading is too old"
        return f"{reading.reason}: {reading.error}"

    def deployment(self, deployment_id: str) -> Deployment | None:
        """A registered deployment by its id, if it is known."""
        facts = self.findings.deployments or ()
        known = (d.deployment for d in facts if d.id == deployment_id)
        return next((d for d in known if isinstance(d, Deployment)), None)

    def discovery(self, deployment_id: str) -> Discovery | None:
        """What a deployment's endpoint answered, if it was asked."""
        found = self.discoveries or ()
        return next((d for d in found if d.deployment_id == deployment_id), None)

    def offering(self) -> tuple[Discovery, ...]:
        """The configured workers that answer and offer the service."""
        urls = {worker.url for worker in self.target.workers}
        return tuple(
            d
            for d in self.discoveries or ()
            if normalise_url(d.url) in urls and any(s.name == self.service for s in d.discovered)
        )

    def url_of(self, deployment_id: str) -> str:
        """A deployment as people know it: its URL, or its id where the URL is not known."""
        found = self.deployment(deployment_id)
        return found.url if found else deployment_id

    def ago(self, moment: datetime) -> str:
        """How long ago, to the second."""
        return f"{format_duration(_whole(self.now - moment))} ago"

    def ahead(self, moment: datetime) -> str:
        """A moment to come, and how far away it is."""
        left = _whole(moment - self.now)
        soon = "now" if left <= timedelta(0) else f"in {format_duration(left)}"
        return f"{moment:%F %T}Z ({soon})"


def _whole(age: timedelta) -> timedelta:
    return max(round(age / _SECOND), 0) * _SECOND
