"""Builds restate-sdk services whose fate the caller chooses by what it sends.

| body | what the handler does |
|---|---|
| `"fail"` | fails for good (`TerminalError`): a workflow key is then terminally failed |
| `"crash"` | raises: the invocation is retried (`backing-off`), and paused if the spec says so |
| `"stumble"` | raises at its first two attempts in this process, then returns |
| `"hold FOLDER"` | its nth attempt makes a file `began-n` there, and raises at `crash-n` |
| `"sleep"` | sleeps for a day: `suspended`, with an unfired sleep in its journal |
| `"wait"` | workflows: waits for the promise `x` of its key, `suspended`; never returns elsewhere |
| `"resolve"` | a workflow's shared handlers: resolves that promise |
| else | returns at once: `"done"` from a workflow, a greeting from all others |

Called without a body, a handler does what its name says (`fail`, `sleep`), if it says anything.
A workflow's run and an object's handler first store a state `calls`, so that there is something
a purge has to clear. Serving is left to `lab.endpoint`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from pathlib import Path

import restate
from restate import (
    Context,
    InvocationRetryPolicy,
    ObjectContext,
    TerminalError,
    WorkflowContext,
    WorkflowSharedContext,
)
from restate.server_types import RestateAppT

from lab.spec import ServiceSpec

_PROMISE = "x"
_HOLD = "hold "
_LONG = timedelta(days=1)
# Until then a waiting invocation counts as running; the server's default is a minute.
_SOON = timedelta(milliseconds=50)
_STUMBLES = 2
_attempts: Counter[str] = Counter()
"""By invocation, of those that stumble."""


class CrashError(Exception):
    """What a handler raises when it was told to crash."""


def build_app(specs: Iterable[ServiceSpec]) -> RestateAppT:
    """Return the ASGI application that serves these services."""
    return restate.app([_build(spec) for spec in specs])


def _build(spec: ServiceSpec) -> restate.Service | restate.VirtualObject | restate.Workflow:
    match spec.kind:
        case "service":
            return _service(spec)
        case "object":
            return _object(spec)
        case "workflow":
            return _workflow(spec)


def _service(spec: ServiceSpec) -> restate.Service:
    service = restate.Service(
        spec.name, inactivity_timeout=_SOON, invocation_retry_policy=_retries(spec)
    )

    for name in spec.handlers:
        service.handler(name)(_answers_as(name))
    return service


def _answers_as(name: str) -> Callable[[Context, str | None], Awaitable[str]]:
    async def answer(ctx: Context, body: str | None) -> str:
        await _misbehave(ctx, body or name)
        return f"Hello {body}"

    return answer


def _object(spec: ServiceSpec) -> restate.VirtualObject:
    virtual_object = restate.VirtualObject(
        spec.name, inactivity_timeout=_SOON, invocation_retry_policy=_retries(spec)
    )

    async def answer(ctx: ObjectContext, body: str | None) -> str:
        await _count_call(ctx)
        await _misbehave(ctx, body)
        return f"Hello {body}"

    for name in spec.handlers:
        virtual_object.handler(name)(answer)
    return virtual_object


def _workflow(spec: ServiceSpec) -> restate.Workflow:
    workflow = restate.Workflow(
        spec.name, inactivity_timeout=_SOON, invocation_retry_policy=_retries(spec)
    )

    async def run(ctx: WorkflowContext, body: str | None) -> str:
        await _count_call(ctx)
        if body == "wait":
            await ctx.promise(_PROMISE, type_hint=str).value()
        await _misbehave(ctx, body)
        return "done"

    async def share(ctx: WorkflowSharedContext, body: str | None) -> str:
        if body == "wait":
            return await ctx.promise(_PROMISE, type_hint=str).value()
        if body == "resolve":
            await ctx.promise(_PROMISE, type_hint=str).resolve("resolved")
        await _misbehave(ctx, body)
        return f"Hello {body}"

    for name in spec.handlers:
        if name == "run":
            workflow.main(name)(run)
        else:
            workflow.handler(name)(share)
    return workflow


async def _misbehave(ctx: Context | WorkflowSharedContext, body: str | None) -> None:
    match body:
        case "fail":
            message = "told to fail"
            raise TerminalError(message)
        case "crash":
            message = "told to crash"
            raise CrashError(message)
        case "stumble":
            _attempts[ctx.request().id] += 1
            if _attempts[ctx.request().id] <= _STUMBLES:
                message = "told to stumble"
                raise CrashError(message)
        case "sleep":
            await ctx.sleep(_LONG)
        case str() if body.startswith(_HOLD):
            await _hold(Path(body.removeprefix(_HOLD)))


async def _hold(folder: Path) -> None:
    number = _begin(folder)
    while not (folder / f"crash-{number}").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)
    message = f"told to crash in attempt {number}"
    raise CrashError(message)


def _begin(folder: Path) -> int:
    number = len(list(folder.glob("began-*"))) + 1
    (folder / f"began-{number}").touch()
    return number


async def _count_call(ctx: ObjectContext | WorkflowContext) -> None:
    calls = await ctx.get("calls", type_hint=int)
    ctx.set("calls", (calls or 0) + 1)


def _retries(spec: ServiceSpec) -> InvocationRetryPolicy | None:
    if spec.pause_after is None:
        return None
    return InvocationRetryPolicy(
        initial_interval=timedelta(milliseconds=10),
        exponentiation_factor=1.0,
        max_attempts=spec.pause_after,
        on_max_attempts="pause",
    )
