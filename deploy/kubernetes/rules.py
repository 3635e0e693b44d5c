"""Writes monitoring/rules.yaml: deploy/prometheus/rules as PrometheusRules, comments and all."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parent
FOLDER = HERE.parent / "prometheus" / "rules"
RULES = HERE / "monitoring" / "rules.yaml"
HEAD = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: restate-medic-{name}
  labels:
    app.kubernetes.io/name: restate-medic
spec:
"""


def prometheus_rules() -> str:
    """The text of the file: one PrometheusRule for each file of rules, by name."""
    files = sorted(FOLDER.glob("*.rules.yaml"))
    documents = [
        HEAD.format(name=file.name.removesuffix(".rules.yaml"))
        + indent(file.read_text(encoding="utf-8"), "  ")
        for file in files
    ]
    return "# Made by `make kubernetes` from deploy/prometheus/rules.\n" + "---\n".join(documents)


if __name__ == "__main__":
    RULES.write_text(prometheus_rules(), encoding="utf-8")
