"""The command line: one file a noun.

Exit codes: 0 fine, 1 unhealthy or refused, 2 usage or configuration, 3 unreachable.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line (the ``restate-medic`` entry point)."""
    from exporter.cli.root import app  # noqa: PLC0415 - keeps ``import exporter.cli`` free of work

    sys.exit(app(prog_name="restate-medic"))
