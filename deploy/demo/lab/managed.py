"""The life of a lab process: start and wait until it answers, stop, kill, restart, clean up.

Which program it is and how it answers is left to `lab.server` and `lab.worker`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

from lab.ports import is_listening
from lab.process import Child
from lab.waiting import wait_until


class Managed(ABC):
    """A process that can be started again and again; a context manager, also an async one."""

    def __init__(self, *, title: str, ports: Iterable[int]) -> None:
        self.title = title
        self._ports = tuple(ports)
        self._child: Child | None = None

    @abstractmethod
    def _launch(self) -> Child:
        """Start the process."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether it does its work by now."""

    @property
    def pid(self) -> int | None:
        """The process id, None while it does not run."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start it and return when it answers; RuntimeError with its log if it ends instead."""
        self._spawn()
        self._await_answer()

    async def start_async(self) -> None:
        """Do the same while the event loop runs on."""
        self._spawn()
        await asyncio.to_thread(self._await_answer)

    def stop(self) -> None:
        """Stop it in order, by SIGTERM; nothing if it does not run."""
        if self._child:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """Stop it as a crash would, by SIGKILL; nothing if it does not run."""
        if self._child:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        """Stop it and start it again, same ports, same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it and remove what it left behind."""
        self.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start_async()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _spawn(self) -> None:
        if self._child:
            message = f"{self.title} runs already, as process {self._child.pid}"
            raise RuntimeError(message)
        for port in self._ports:
            if is_listening(port):  # whoever it is would answer for us while we start
                message = f"{self.title} cannot start: something listens on port {port}"
                raise RuntimeError(message)
        self._child = self._launch()

    def _await_answer(self) -> None:
        try:
            wait_until(self._alive_and_answering, what=self.title)
        except BaseException:
            self.kill()
            raise

    def _alive_and_answering(self) -> bool:
        child = self._child
        if child is None or child.exit_code is not None:
            log = child.log_tail() if child else ""
            message = f"{self.title} ended while starting:\n{log}"
            raise RuntimeError(message)
        return self._answers()
