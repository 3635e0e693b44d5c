"""Whether PromQL names only metrics, labels and values that exist: of rules and of dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from exporter.metrics.catalogue import CATALOGUE, PREFIX, Kind
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode, Result
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome

FROM_PROMETHEUS = {
    "up": (),
    "process_start_time_seconds": (),
    "ALERTS": ("alertname", "alertstate", "severity", "generated_by", "target"),
}
ADDED_BY_PROMETHEUS = {"job", "instance", "pod"}
RECORDED = {
    "target:restate_medic_healing:bool": ("target",),
    "target:restate_medic_components_not_ok:count": ("target",),
    "policy_remedy_outcome:restate_medic_operations:increase1h": (
        "target",
        "policy",
        "remedy",
        "source",
        "outcome",
    ),
}
"""Recording rules, and the labels that each keeps."""
WORDS: Mapping[str, set[str]] = {
    "component": set(Component),
    "status": {*Status, "inboxed", "scheduled", "invoked", "suspended", "paused"},
    "reason": set(Reason),
    "mode": set(Mode),
    "result": set(Result),
    "outcome": {*Outcome, "delivered", "failed", "dropped"},
    "state": {*["registered", "missing", "unexposed", "active", "draining", "drained"]},
    "owner": {"ours", "foreign", "protected"},
    "change": {"added", "dropped", "changed", "type_changed"},
    "source": {"policy", "api", "cli"},
    "scope": {"global", "target", "policy"},
    "alertstate": {"firing", "pending"},
    "generated_by": {"restate-medic"},
}
"""The values that a label can have, by label."""
_HELD = PREFIX + "policy_held_since_timestamp_seconds"
_ANYTHING = {"job", "target"}
"""Labels whose values are a matter of the configuration."""

_SELECTOR = re.compile(r"([a-zA-Z_][\w:]*)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_VARIABLE = re.compile(r"\$(?:\{\w+(?::\w+)?\}|\w+)")


def labels_of(name: str) -> tuple[str, ...] | None:
    """The labels of a metric as queries name it, without those that Prometheus adds."""
    if name in FROM_PROMETHEUS:
        return FROM_PROMETHEUS[name]
    if name in RECORDED:
        return RECORDED[name]
    short = name.removeprefix(PREFIX)
    family = CATALOGUE.get(short)
    if family is not None:
        return None if family.kind is Kind.HISTOGRAM else family.label_names
    base, _, part = short.rpartition("_")
    family = CATALOGUE.get(base)
    if family is not None and family.kind is Kind.HISTOGRAM and part in {"bucket", "count", "sum"}:
        return (*family.label_names, *(("le",) if part == "bucket" else ()))
    return None


def selected(expr: str) -> Iterator[tuple[str, str]]:
    """Each metric of an expression, and what stands in its braces."""
    bare = _GROUPING.sub(" ", _VARIABLE.sub("$", expr))
    for found in _SELECTOR.finditer(bare):
        name, inside = found[1], found[2] or ""
        if name.startswith(PREFIX) or ":" in name or name in FROM_PROMETHEUS:
            yield name, inside


def check_names(query: str) -> int:
    """Fail for a metric, label or value that does not exist; how many metrics the query names.

    What comes from a variable of Grafana's may be any value.
    """
    asked, known = 0, set(ADDED_BY_PROMETHEUS)
    for name, inside in selected(query):
        labels = labels_of(name)
        assert labels is not None, f"{name} is no metric of the catalogue"
        known |= set(labels)
        asked += 1
        for label, sign, value in _MATCHER.findall(inside):
            assert label in {*labels, *ADDED_BY_PROMETHEUS}, f"{name} has no label {label}"
            words = WORDS.get(label, set())
            if (name, label) == (_HELD, "reason"):
                words = {*HoldReason}
            given = set(value.split("|") if "~" in sign else [value])
            free = label in _ANYTHING or "$" in value
            assert free or given <= words, f"{label}: {given - words}"
    for group in _GROUPING.findall(query):
        named = {label.strip() for label in group.split(",") if label.strip()}
        assert named <= known, f"no metric of the query has {named - known}"
    return asked
