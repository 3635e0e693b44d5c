"""``make bench``: what passes, scrapes, deciding, alerts, a backlog, history, the page cost."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "demo"))  # as pytest finds the lab

from tests.benchmarks import alerts, backlog, decide, doctor, history, ledger, page, scrape

if __name__ == "__main__":
    doctor.main()
    scrape.main()
    decide.main()
    alerts.main()
    backlog.main()
    history.main()
    page.main()
    ledger.main()
