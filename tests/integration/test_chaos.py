"""SIGKILL at random moments of running operations, on real servers, and what is true afterwards."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.run import LANES, chaos

KILLS = 20


@pytest.mark.timeout(300)
async def test_whenever_it_is_killed_the_ledger_knows_what_happened(tmp_path: Path) -> None:
    """Twenty kills: no write without a row, no double action, no forgotten limit.

    The server's state is what the ledger says, and every operation that was cut off is
    interrupted, or taken over for its verification. ``make chaos`` does it 200 times.
    """
    result = await chaos(tmp_path, kills=KILLS, lanes=LANES, seed=SystemRandom().randrange(10**6))
    print(result)  # noqa: T201 - the counts, for whoever runs it with -s, or sees it fail
    assert result.kills == KILLS
    assert result.flaws == ()
    assert result.counts["writes"] == result.counts["writes announced"] > KILLS
    assert result.counts["ended interrupted"] > 0
