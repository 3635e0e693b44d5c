"""Reloading: the whole configuration is built again and swapped in, or nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from datetime import datetime

import structlog

from exporter.app.build import Built
from exporter.app.engine import Engine
from exporter.daemon.supervisor import Supervisor
from exporter.metrics.instruments import Instruments
from exporter.model.errors import ConfigurationError
from exporter.settings.load import Configuration
from exporter.settings.schema import NEEDS_RESTART
from exporter.web.status import ReloadResult

_log = structlog.get_logger(__name__)


class Reloads:
    """Reloads on demand and when a file has changed; one at a time.

    ``configure`` loads what is written now; ``swap`` puts it in force.
    """

    def __init__(
        self,
        configure: Callable[[], Configuration],
        *,
        swap: Callable[[Built], None],
        instruments: Instruments,
        supervisor: Supervisor,
    ) -> None:
        self._configure = configure
        self._swap = swap
        self._instruments = instruments
        self._supervisor = supervisor
        self._engine: Engine | None = None
        self._signalled: set[asyncio.Task[ReloadResult]] = set()
        self._reloading = asyncio.Lock()
        self._fingerprint = ""
        self.problems: tuple[str, ...] = ()
        """Of the last reload, if it failed."""
        self.loaded_at: datetime | None = None
        """When the configuration in force was loaded."""

    @property
    def engine(self) -> Engine:
        """Whose configuration is reloaded, once there is one."""
        if self._engine is None:
            msg = "there is nothing to reload yet"
            raise RuntimeError(msg)
        return self._engine

    def take(self, engine: Engine) -> None:
        """The first configuration is in force."""
        self._engine = engine
        self._fingerprint = engine.configuration.fingerprint()
        self._tell_notes()
        self.loaded_at = engine.now()
        self._instruments.config_reloaded(ok=True, at=self.loaded_at)

    async def reload(self) -> ReloadResult:
        """Build the whole configuration again and swap it in; an invalid one changes nothing.

        In a context of its own: what it schedules must not log under the request that asked.
        """
        return await asyncio.create_task(self._reload(), context=Context())

    async def _reload(self) -> ReloadResult:
        async with self._reloading:
            self._supervisor.reloading()
            try:
                return await self._load_and_swap()
            finally:
                self._supervisor.ready(self.standing())

    def standing(self) -> str:
        """One line on what is in force, for who looks at the process from outside."""
        watched = f"watching {len(self.engine.backends)} targets"
        standing = f"{watched} with {len(self.engine.policies)} policies"
        return f"{standing}; the last reload failed" if self.problems else standing

    async def _load_and_swap(self) -> ReloadResult:
        now = self.engine.now()
        try:
            built, self._fingerprint = await asyncio.to_thread(self._build)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old one stays in force
            self._fingerprint = ""  # so that it is tried again until it can be loaded
            problems = _problems(error)
            self._instruments.config_reloaded(ok=False, at=now)
            if problems != self.problems:
                _log.error("config.reload_failed", problems=problems)
            self.problems = problems
            return ReloadResult(problems)
        self.problems = ()
        _tell_what_needs_a_restart(self.engine.configuration, built.configuration)
        self._swap(built)
        self.loaded_at = now
        self._instruments.config_reloaded(ok=True, at=now)
        self._tell_notes()
        _log.info("config.reloaded", targets=len(built.backends), policies=len(built.policies))
        return ReloadResult()

    def _build(self) -> tuple[Built, str]:
        configuration = self._configure()
        fingerprint = configuration.fingerprint()  # before: later changes are seen at the next look
        return self.engine.rebuild(configuration), fingerprint

    def soon(self) -> None:
        """Reload without anybody waiting for it (SIGHUP)."""
        if self._engine is None:
            return  # it is being loaded right now
        task = asyncio.ensure_future(self.reload())
        self._signalled.add(task)
        task.add_done_callback(self._signalled.discard)

    async def when_changed(self) -> None:
        """Reload if a file's content is another one than was loaded."""
        seen = await asyncio.to_thread(self.engine.configuration.fingerprint)
        if seen != self._fingerprint:
            await self.reload()

    def _tell_notes(self) -> None:
        for note in self.engine.configuration.notes(self.engine.now()):
            _log.warning("config.note", note=note)


def _tell_what_needs_a_restart(old: Configuration, new: Configuration) -> None:
    for key in NEEDS_RESTART:
        before, after = getattr(old.settings, key), getattr(new.settings, key)
        if key == "storage":
            before, after = before.place, after.place
        if before != after:
            _log.warning("config.needs_restart", key=key)


def _problems(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigurationError):
        return tuple(error.problems)
    return (f"the configuration cannot be loaded: {type(error).__name__}: {error}",)
