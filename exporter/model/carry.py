"""What outlives a reading: since when each deployment is in its state, each answer unchanged."""

from __future__ import annotations

from datetime import datetime

from exporter.model.component import Component
from exporter.model.deployments import classify
from exporter.model.drift import fingerprint
from exporter.model.report import Carried, Report, Seen
from exporter.model.target import Target
from exporter.model.views import DriftView


def carry_over(report: Report, target: Target, *, now: datetime) -> Carried:
    """What to remember beside this report: how long states and discoveries have been the same.

    A deployment that cannot be classified now keeps its memory; one that is gone loses it.
    """
    old = report.carried
    deployments = classify(report, target, now)
    states = dict(old.states)
    if deployments is not None:
        known = {d.id for d in deployments}
        states = {k: v for k, v in states.items() if k in known}
        at = report.readings[Component.DEPLOYMENTS].started_at
        for d in deployments:
            if d.state != "unknown":
                seen = states.get(d.id)
                states[d.id] = seen.again(d.state, at) if seen else Seen(d.state, at, at)
    drift = report.view(Component.DRIFT, DriftView, now)
    discoveries = dict(old.discoveries)
    if drift is not None:
        at = report.readings[Component.DRIFT].started_at
        discoveries = {}
        for found in drift.discoveries:
            value = f"{found.reachable} {fingerprint(found.discovered)}"
            before = old.discoveries.get(found.url)
            discoveries[found.url] = before.again(value, at) if before else Seen(value, at, at)
    return Carried(states=states, discoveries=discoveries)
