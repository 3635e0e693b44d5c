"""Writes the dashboards: ``python -m grafana [--page URL] [--into FOLDER]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import fleet, remediation, target
from grafana.board import PAGE, assemble

FOLDER = Path(__file__).parent / "dashboards"


def texts(*, page: str = PAGE) -> Mapping[str, str]:
    """Every dashboard as JSON, by file name: the same text for the same code."""
    boards = (fleet.board(), target.board(), remediation.board())
    return {
        f"{board.uid}.json": json.dumps(
            assemble(board, page=page), cls=JSONEncoder, indent=2, sort_keys=True
        )
        + "\n"
        for board in boards
    }


def main() -> None:
    """Write a file for each dashboard, and say which."""
    parser = argparse.ArgumentParser(prog="python -m grafana", description=__doc__)
    parser.add_argument(
        "--page", default=PAGE, help="where the page of restate-medic is (default: %(default)s)"
    )
    parser.add_argument(
        "--into", type=Path, default=FOLDER, help="the folder to write to (default: %(default)s)"
    )
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    for name, text in texts(page=asked.page).items():
        (asked.into / name).write_text(text)
        sys.stdout.write(f"{asked.into / name}\n")


if __name__ == "__main__":
    main()
