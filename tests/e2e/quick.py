"""The shipped rules and the example configuration of Prometheus, at the pace of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.alerts import PROMETHEUS, RULE_FILES, load


def quick_rules(folder: Path) -> Path:
    """The shipped rule files in a folder, with every `for` and `keep_firing_for` as a second."""
    folder.mkdir()
    for file in RULE_FILES:
        body = load(file)
        for rule in (rule for group in body["groups"] for rule in group["rules"]):
            rule.update({key: "1s" for key in ("for", "keep_firing_for") if key in rule})
        (folder / file.name).write_text(json.dumps(body))
    return folder


def quick_prometheus(rules: Path, *, scrapes: str, tells: str) -> dict[str, Any]:
    """The example configuration, with these addresses, at a second each."""
    config: dict[str, Any] = load(PROMETHEUS / "prometheus.yml")
    config["global"].update(scrape_interval="1s", scrape_timeout="1s", evaluation_interval="1s")
    config["global"]["external_labels"] = {"runbooks": "https://runbooks.internal"}
    config["rule_files"] = [str(rules / "*.rules.yaml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [scrapes]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [tells]}]}]
    return config
