"""Makes a target's heartbeat: one invocation at a time, in a task of its own.

A probe only looks at it, so that no round waits for a service. What is due, and how a beat is
named so that no restart starts a second one, is ``model.heartbeat``'s; the calls are
``restate_api.beats``'. Nothing is stored: after a restart the server is asked what it has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from exporter.doctor.governor import ScanGovernor
from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.heartbeat import (
    Beat,
    Ended,
    Heartbeat,
    HeartbeatView,
    beat_named,
    due,
    in_order,
    prefix_of,
)
from exporter.model.views import ServiceShape
from exporter.restate_api import KnownBeat, NotRegisteredError, RestateApi, UnknownBeatError

_LOOK = timedelta(seconds=5)
"""How long one more look at what is late waits for its end."""
_GONE = "Restate no longer has it: how it ended is not known"
"""Of a beat that was purged, or went with all else, before its end was seen."""
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Outstanding:
    """The beat that has not ended. Without an id it is not known whether it was started."""

    beat: Beat
    since: datetime
    began: float | None
    """When we handed it in, on the monotonic clock; None if somebody else did."""
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the heartbeat stands: what is known of it, and what is wrong; None is nothing."""

    view: HeartbeatView | None
    wrong: CallFailedError | None


class Heart:
    """The heartbeat of one target. Used from one event loop."""

    def __init__(
        self,
        target: str,
        want: Heartbeat,
        *,
        api: RestateApi,
        scans: ScanGovernor,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._want = want
        self._api = api
        self._scans = scans
        self._clock = clock
        self._monotonic = monotonic
        self._remembers = False
        """Whether the server was asked for the beats of before."""
        self._outstanding: _Outstanding | None = None
        self._last: Ended | None = None
        self._success: Ended | None = None
        self._trouble: CallFailedError | None = None
        """Why the newest step came to nothing."""
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def look(self) -> Pulse | None:
        """How it stands; None before anything is known.

        Begins the next step if there is one, and never waits for it.
        """
        resting = self._task is None or self._task.done()
        if resting and not self._closed and self._has_to_do():
            self._task = asyncio.ensure_future(self._step())
        return self._pulse()

    def close(self) -> None:
        """Stop waiting. What was handed in goes on; whoever comes next finds it."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    # One step: a beat from here to its end, or as far as it gets in time

    def _has_to_do(self) -> bool:
        waiting = not self._remembers or self._outstanding is not None
        return waiting or self._due() is not None

    def _due(self) -> Beat | None:
        return due(self._want, self._target, self._last, now=self._clock())

    async def _step(self) -> None:
        try:
            await self._advance()
        except CallFailedError as error:
            self._trouble = error
        except Exception as error:  # noqa: BLE001 - a crash is told like all that is wrong
            _log.exception("heartbeat.crashed", target=self._target)
            crashed = f"the heartbeat crashed: {type(error).__name__}"
            self._trouble = CallFailedError(Reason.INTERNAL, crashed)

    async def _advance(self) -> None:
        if not self._remembers:
            await self._remember()
        beat = self._outstanding
        if beat is None or beat.id is None:
            shape = await self._registered()
            if beat is None and (next_ := self._due()) is not None:
                beat = _Outstanding(next_, self._clock(), self._monotonic())
            if beat is None:
                return
            beat = await self._send(shape, beat)
        if beat.id is not None:
            await self._await_end(beat, beat.id)

    async def _registered(self) -> ServiceShape:
        """The service as it is registered now: its type says how it is called."""
        name, handler = self._want.service, self._want.handler
        details = await self._api.admin.get_service(name)
        if details is None:
            why = f"{name} is not registered, so it cannot be called"
            raise NotRegisteredError(Reason.NOT_REGISTERED, why, sent=False)
        shape = details.service.shape
        if handler not in {known.name for known in shape.handlers}:
            names = ", ".join(known.name for known in shape.handlers)
            why = f"{name} has no handler {handler}; it has {names or 'none'}"
            raise NotRegisteredError(Reason.NOT_REGISTERED, why, sent=False)
        return shape

    async def _remember(self) -> None:
        """Take in the beats of before this process: what is outstanding, and how others ended."""
        shape = await self._registered()
        prefix, handler = prefix_of(self._target), self._want.handler
        known = await self._scans.alone(lambda: self._api.beats.known(shape, handler, prefix))
        named = [(one, b) for one in known if (b := beat_named(one.name, self._target)) is not None]
        ended = in_order(self._ended(one, beat) for one, beat in named if one.ended_at is not None)
        self._last = ended[-1] if ended else None
        good = [one for one in ended if one.failure is None]
        self._success = max(good, key=lambda one: one.at, default=None)
        waiting = [
            _Outstanding(beat, one.began_at, None, one.id)
            for one, beat in named
            if one.ended_at is None
        ]
        self._outstanding = min(waiting, key=lambda one: one.since, default=None)
        self._remembers, self._trouble = True, None

    def _ended(self, one: KnownBeat, beat: Beat) -> Ended:
        at = one.ended_at or one.began_at
        took = (at - one.began_at).total_seconds()
        return Ended(beat, one.id, at, took, one.failure, late=self._too_long(took))

    async def _send(self, shape: ServiceShape, beat: _Outstanding) -> _Outstanding:
        name, self._outstanding = beat.beat.name(self._target), beat
        try:
            sent = await self._api.beats.send(
                shape, self._want.handler, name, timeout=self._left(beat)
            )
        except CallFailedError as error:
            if not error.outcome_unknown:
                self._outstanding = None  # it was refused: the same name is tried again
            raise
        self._trouble = None
        beat = replace(beat, id=sent.id, began=beat.began if sent.fresh else None)
        self._outstanding = beat
        return beat

    async def _await_end(self, beat: _Outstanding, invocation_id: str) -> None:
        try:
            failure = await self._api.beats.failure_of(invocation_id, timeout=self._left(beat))
        except UnknownBeatError:
            if await self._api.lookups.by_id({invocation_id}):
                raise  # a proxy's word: it is there, so no other may be started beside it
            self._over(Ended(beat.beat, invocation_id, self._clock(), None, _GONE))
            return
        except CallFailedError as error:
            if error.reason is not Reason.TIMEOUT:
                raise
            self._trouble = None  # it is outstanding; nothing else is known to be wrong
            return
        at, seconds = await self._end_of(beat, invocation_id)
        late = seconds is not None and self._too_long(seconds)
        self._over(Ended(beat.beat, invocation_id, at, seconds, failure, late=late))

    async def _end_of(
        self, beat: _Outstanding, invocation_id: str
    ) -> tuple[datetime, float | None]:
        """When it ended and how long it took: as we saw it, else by the server's two moments."""
        if beat.began is not None:
            return self._clock(), self._monotonic() - beat.began
        try:
            exact = (await self._api.lookups.by_id({invocation_id})).get(invocation_id)
        except CallFailedError:
            exact = None
        if exact is None or exact.active:
            return self._clock(), None
        at = exact.item.modified_at
        return at, (at - exact.item.created_at).total_seconds()

    def _over(self, ended: Ended) -> None:
        before = self._last.bad_in_a_row if self._last is not None else 0
        self._last = replace(ended, bad_in_a_row=before + 1 if ended.bad else 0)
        self._outstanding = self._trouble = None
        if ended.failure is None:
            self._success = ended
        else:
            _log.warning(
                "heartbeat.failed", target=self._target, invocation=ended.id, error=ended.failure
            )

    def _too_long(self, seconds: float) -> bool:
        return seconds > self._want.within.total_seconds()

    def _waited(self, beat: _Outstanding) -> float:
        if beat.began is not None:
            return self._monotonic() - beat.began
        return (self._clock() - beat.since).total_seconds()

    def _left(self, beat: _Outstanding) -> timedelta:
        """How long to wait for it now: until it would be late, and for a moment after that."""
        return max(self._want.within - timedelta(seconds=self._waited(beat)), _LOOK)

    # What is told

    def _pulse(self) -> Pulse | None:
        if not self._remembers:
            return None if self._trouble is None else Pulse(None, self._trouble)
        wrong, beat, last = self._wrong(), self._outstanding, self._last
        if wrong is None and last is None:
            return None  # the first is on its way
        success, newest = self._success, beat or last
        overdue = beat is not None and self._too_long(self._waited(beat))
        view = HeartbeatView(
            late=overdue or (last is not None and last.late),
            seconds=success.seconds if success else None,
            last_success_at=success.at if success else None,
            outstanding_since=beat.since if beat else None,
            invocation_id=newest.id if newest else None,
        )
        return Pulse(view, wrong)

    def _wrong(self) -> CallFailedError | None:
        """The worst that is known: that it cannot be asked, is late, failed, or was late."""
        if self._trouble is not None:
            return self._trouble
        called = f"{self._want.service}/{self._want.handler}"
        beat, last = self._outstanding, self._last
        if beat is not None and self._too_long(waited := self._waited(beat)):
            which = f" ({beat.id})" if beat.id else ""
            text = f"{called} has not answered for {waited:.0f} s{which}"
            return CallFailedError(Reason.LATE, text)
        if last is not None and last.failure is not None:
            return CallFailedError(Reason.FAILED, f"{called} failed ({last.id}): {last.failure}")
        if last is not None and last.late:
            return CallFailedError(Reason.LATE, f"{called} took {last.seconds:.1f} s ({last.id})")
        return None
