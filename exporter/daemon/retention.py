"""The chore that removes what is old from the ledger, once a day, if this process acts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from exporter.app.engine import Engine
from exporter.ledger.integrity import inspect
from exporter.ledger.pruning import Plan
from exporter.model.errors import StoppedError
from exporter.policy.memory import forever

RETENTION_SECONDS = 3600.0
"""Between two looks whether it is time. The first does nothing: a clock that is wrong when the
machine starts is set by then."""
_DAY_SECONDS = 86_400.0
_log = structlog.get_logger(__name__)


class Retention:
    """Removes what ``storage.keep`` says, after a check that the ledger is as it was written."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        clock_suspect: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock_suspect = clock_suspect
        self._clock = clock
        self._next = clock() + RETENTION_SECONDS / 2

    async def look(self) -> None:
        """Remove what is old if it is time, and come back when all of it is gone."""
        engine = self._engine()
        if engine.configuration.settings.storage.keep is None or self._clock() < self._next:
            return
        if not engine.ownership.owned or self._clock_suspect():
            return
        found = await inspect(engine.ledger)
        if found.flaw is not None:
            _log.error("ledger.not_pruned", entry=found.flaw.seq, error=str(found.flaw))
            return
        removed: Counter[str] = Counter()
        try:
            while await self._some(engine, removed):
                pass
            self._next = self._clock() + _DAY_SECONDS - RETENTION_SECONDS / 2
        except StoppedError:
            pass  # somebody else acts by now, and goes on with it
        finally:
            if removed:
                _log.info("ledger.pruned", **removed)

    async def _some(self, engine: Engine, removed: Counter[str]) -> bool:
        """Make a plan and carry it out; whether there is more to do."""
        keep = engine.configuration.settings.storage.keep
        if keep is None or not engine.ownership.owned or self._clock_suspect():
            return False
        plan = await engine.ledger.plan_pruning(
            keep=keep, rests=forever(engine.policies), now=engine.now()
        )
        return not await self._carry_out(engine, plan, removed) or plan.more

    async def _carry_out(self, engine: Engine, plan: Plan, removed: Counter[str]) -> bool:
        """Step by step: whoever waits for the ledger goes in between. Whether the plan held."""
        after, configuration = 0, engine.configuration
        for step in plan.steps:
            if engine.configuration is not configuration:
                return False  # other policies may look back to other things
            done = await engine.ledger.prune(
                plan, step, after=after, fence=engine.ownership.fence, now=engine.now()
            )
            if done is None:
                return False
            after = done.seq
            removed.update(done.removed)
        return True
