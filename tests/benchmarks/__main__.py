"""``make bench``: both ratios, one after the other."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "demo"))  # as pytest finds the lab

from tests.benchmarks import doctor, scrape

if __name__ == "__main__":
    doctor.main()
    scrape.main()
