"""What keeps breaking on one server, and the policies that mend it.

| broken | mended by |
|---|---|
| a worker's registration is lost | force-redeploy |
| a workflow key failed for good | recover-stuck-workflow, once a key |
| a deployment was replaced and has drained | cleanup-stale-deployments |
| an invocation used up its retries | resume-invocations, once an invocation |

The two workers serve every scene; each server knows only its own registrations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from random import Random

from lab import Restate, ServiceSpec, Worker, wait_until
from tests.chaos.record import Fault, State

GREETER = ServiceSpec("Greeter", handlers=("hello",))
PLAIN = ServiceSpec("Plain", pause_after=2)
FLOW = ServiceSpec("Flow", "workflow")
COOLDOWN = timedelta(seconds=1)
_LIMITED = {"force-redeploy": 0.5, "cleanup-stale-deployments": 1.0}
"""How many operations at most, ever, for each kill: the first is used up before the end."""
ONCE = frozenset({"recover-stuck-workflow", "resume-invocations"})
_ENOUGH = 6
"""So many of a kind may wait: what piles up makes every round slower."""
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.05


def limits(kills: int) -> dict[str, int]:
    """How many operations of a remedy may ever begin on a server that sees so many kills."""
    return {remedy: max(2, int(share * kills)) for remedy, share in _LIMITED.items()}


def policies(kills: int, old_url: str) -> list[dict[str, object]]:
    """Four policies that act at once, and hold when their limits are spent."""
    most = limits(kills)
    once = [{"scope": "item", "max": 1, "per": "forever"}]

    def policy(name: str, action: dict[str, object], **more: object) -> dict[str, object]:
        (remedy,) = action
        ever = {"scope": "target", "max": most.get(remedy), "per": "forever"}
        return {
            "name": name,
            "mode": "enforce",
            "action": action,
            "cooldown": "1s",
            "limits": once if remedy in ONCE else [ever],
            "breaker": {"failed": 1000, "per": "24h", "reset": "manual"},
            "storm": {"max_unhealthy": "100%", "at_least": 1, "max_items": 1000},
            "verify": {"within": "15s", "healthy_for": "500ms"},
            **more,
        }

    return [
        policy(
            "register",
            {"force-redeploy": {"stable_for": "200ms"}},
            for_each="workers",
            when='!item.registered && item.reachable == "yes"',
        ),
        policy(
            "clean",
            {"cleanup-stale-deployments": {"url": old_url, "drained_for": "1s", "max_items": 9}},
            when="size(deployments.drained) > 0",
            **{"for": "2s"},  # so that one of them has been drained for long enough
            # One pile may be larger than what one operation deletes.
            verify={"within": "4s", "healthy_for": "500ms"},
        ),
        policy(
            "recover",
            {"recover-stuck-workflow": {"service": "Flow", "max_items": 5}},
            for_each="workflows.failed",
            when="item.active_siblings == 0",
        ),
        policy(
            "resume",
            {"resume-invocations": {"service": "Plain", "max_items": 5}},
            for_each="invocations.paused",
            when='item.paused_by == "retries"',
        ),
    ]


class Scene:
    """One server and what is broken there. Looks at it past the door, as a person would."""

    def __init__(self, restate: Restate, stable: Worker, rolled: Worker, random: Random) -> None:
        self.restate = restate
        self._stable = f"{stable.url}/"
        self.rolled = f"{rolled.url}/"
        self._random = random
        self._made = 0
        self._keys: dict[str, str] = {}
        """The run of each key that failed once so far."""
        self._paused: set[str] = set()
        self.faults: list[Fault] = []

    async def set_up(self) -> None:
        """Register both workers."""
        for url in (self._stable, self.rolled):
            await asyncio.to_thread(self.restate.register, url)

    @property
    def workers(self) -> list[dict[str, object]]:
        """What the target's configuration expects."""
        return [{"url": self._stable}, {"url": self.rolled}]

    async def break_everything(self, had: frozenset[str]) -> None:
        """One fault of each kind, unless enough of a kind waits to be mended already.

        ``had`` are the item keys of all operations so far: those do not wait any more.
        """
        faults: list[Awaitable[None]] = [self._lose_registration(), self._fail_again()]
        if len(await asyncio.to_thread(self.restate.deployments)) < _ENOUGH:
            faults.append(self._roll())
        if sum(f"Flow/{key}" not in had for key in self._keys) < _ENOUGH:
            faults.append(self._fail_key())
        if len(self._paused - {key.partition("@")[0] for key in had}) < _ENOUGH:
            faults.append(self._pause())
        await asyncio.gather(*faults)

    async def _lose_registration(self) -> None:
        at = datetime.now(UTC)
        for deployment in await asyncio.to_thread(self.restate.deployments):
            if deployment["uri"] == self._stable:
                self.faults.append(Fault(at, ("worker", self._stable)))
                await asyncio.to_thread(self.restate.delete_deployment, str(deployment["id"]))

    async def _roll(self) -> None:
        """A deployment takes over and is replaced at once, so that it drains."""
        self._made += 1
        at, url = datetime.now(UTC), f"{self.rolled}v{self._made}"
        old = await asyncio.to_thread(self.restate.register, url)
        self.faults.append(Fault(at, ("deployment", str(old["id"]))))
        await asyncio.to_thread(self.restate.register, self.rolled)

    async def _fail_key(self) -> None:
        key = f"k{len(self._keys)}"
        self._keys[key] = await self._failed(key)

    async def _fail_again(self) -> None:
        """A key that was recovered is submitted again and fails again: nobody may recover it."""
        rows = self.restate.query("SELECT id FROM sys_invocation_status")
        there = {str(row["id"]) for row in rows}
        gone = [key for key, run in self._keys.items() if run not in there]
        if gone:
            await self._failed(self._random.choice(gone))

    async def _failed(self, key: str) -> str:
        at = datetime.now(UTC)
        run = await self._send("Flow", "fail", key)
        await self._until(run, "completed")
        self.faults.append(Fault(at, ("invocation", run)))
        return run

    async def _pause(self) -> None:
        at = datetime.now(UTC)
        run = await self._send("Plain", "stumble")
        await self._until(run, "paused")
        self._paused.add(run)
        self.faults.append(Fault(at, ("invocation", run)))

    async def _send(self, service: str, body: str, key: str | None = None) -> str:
        answer = await asyncio.to_thread(
            self.restate.call, service, "run", body, key=key, send=True
        )
        return str(answer.raise_for_status().json()["invocationId"])

    async def _until(self, invocation_id: str, status: str) -> None:
        await asyncio.to_thread(
            wait_until,
            lambda: self.restate.status(invocation_id) == status,
            what=f"{invocation_id} to be {status}",
            timeout_seconds=_PATIENCE_SECONDS,
            poll_seconds=_POLL_SECONDS,
        )

    def state(self) -> State:
        """The server's own word on all of it."""
        deployments = self.restate.deployments()
        serving = {service["deployment_id"] for service in self.restate.services()}
        sql = "SELECT id, status, completion_result FROM sys_invocation_status"
        return State(
            registered=frozenset(d["uri"] for d in deployments if d["id"] in serving),
            deployments=frozenset(str(d["id"]) for d in deployments),
            invocations={
                str(row["id"]): "failed"
                if row.get("completion_result") == "failure"
                else str(row["status"])
                for row in self.restate.query(sql)
            },
        )
