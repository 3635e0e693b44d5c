"""``make chaos``: 200 SIGKILLs, and the counts."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "demo"))  # as pytest finds the lab

from tests.chaos.run import LANES, chaos


def main() -> int:
    """Run it; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=LANES, help="servers at once")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, help="a folder for logs and ledgers")
    given = parser.parse_args()
    print(f"chaos: seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = given.keep or Path(temporary)
        result = asyncio.run(chaos(folder, kills=given.kills, lanes=given.lanes, seed=given.seed))
    print(result)
    return 1 if result.flaws else 0


if __name__ == "__main__":
    sys.exit(main())
