"""Looks at the dashboards as Grafana would, through a real Prometheus."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.dashboards import Asked, everything, filled_in
from tests.e2e.watching import Prometheus

STEP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Viewer:
    """Asks as Grafana does, of the time since a moment; all values of variables but the target."""

    prometheus: Prometheus
    since: float

    def look(self, one: Asked, target: str = ".+") -> list[dict[str, Any]]:
        """The series of a query; instant ones have one value each."""
        now = time.time()
        expr = filled_in(one.expr, self.values(now, target))
        if one.instant:
            answer = self.prometheus.get("/api/v1/query", query=expr, time=f"{now:.3f}")
        else:
            answer = self.prometheus.get(
                "/api/v1/query_range",
                query=expr,
                start=str(math.floor(self.since / STEP_SECONDS) * STEP_SECONDS),
                end=f"{now:.3f}",
                step=str(STEP_SECONDS),
            )
        assert answer.is_success, f"{one.id}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def values(self, now: float, target: str) -> dict[str, str]:
        """What Grafana would fill in."""
        return {
            "job": ".+",
            "instance": ".+",
            "policy": ".*",
            "target": target,
            "__rate_interval": f"{2 * STEP_SECONDS}s",
            "__interval": f"{STEP_SECONDS}s",
            "__interval_ms": f"{STEP_SECONDS}000",
            "__range": f"{math.ceil(now - self.since)}s",
        }

    def shows(self, one: Asked) -> bool:
        """Whether a query finds numbers, with all labels that its legend names."""
        targets = ("prod", "gone") if one.board.endswith("target") else (".+",)
        rows = (row for target in targets for row in self.look(one, target))
        named = set(re.findall(r"{{(\w+)}}", one.called))
        return any(numbers(row) and named <= row["metric"].keys() for row in rows)


def numbers(row: Mapping[str, Any]) -> list[float]:
    """The numbers of a series, without what is no number."""
    pairs = [row["value"]] if "value" in row else row["values"]
    return [float(value) for _, value in pairs if not math.isnan(float(value))]


def query(board: str, panel: str, ref: str = "A") -> Asked:
    """The query of a panel, by its letter."""
    (found,) = [q for q in everything() if q.id == f"restate-medic-{board}/{panel}/{ref}"]
    return found
