"""What grafana/dashboards says, read for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "grafana" / "dashboards"
FILES = tuple(sorted(FOLDER.glob("*.json")))
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a panel, or of an annotation."""

    board: str
    panel: str
    ref: str
    expr: str
    called: str
    instant: bool

    @property
    def id(self) -> str:
        return f"{self.board}/{self.panel}/{self.ref}"


@cache
def load(file: Path) -> Any:
    return json.loads(file.read_text())


def panels(file: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard, without the headings of rows."""
    return [panel for panel in load(file)["panels"] if panel["type"] != "row"]


def asked(file: Path) -> list[Asked]:
    """Every query of a dashboard."""
    return list(_asked(file))


def _asked(file: Path) -> Iterator[Asked]:
    for panel in panels(file):
        for target in panel["targets"]:
            yield Asked(
                file.stem,
                panel["title"],
                target["refId"],
                target["expr"],
                target["legendFormat"],
                target["instant"],
            )
    for note in load(file)["annotations"]["list"]:
        said = " ".join(note[key] for key in ("titleFormat", "textFormat"))
        yield Asked(file.stem, note["name"], "annotation", note["expr"], said, instant=False)


def everything() -> list[Asked]:
    """Every query of every dashboard."""
    return [one for file in FILES for one in asked(file)]


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """With values in place of variables, as Grafana fills them in; KeyError for one it lacks."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
