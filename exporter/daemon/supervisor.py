"""Tells systemd what the daemon is at (``Type=notify``), and that its loop still turns.

The protocol is one datagram for each message (``sd_notify(3)``). Without ``NOTIFY_SOCKET`` nobody
listens and nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import structlog

_PINGS = 3
"""How often the watchdog is fed within the time it waits."""
_log = structlog.get_logger(__name__)


class Supervisor:
    """Whoever started the process, if it wants to hear of it."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        path = variables.get("NOTIFY_SOCKET", "")
        # A leading @ is how an abstract socket is written.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self.ping_seconds = _ping_seconds(variables, os.getpid())

    def ready(self, status: str) -> None:
        """Started, or done with reloading; ``status`` is what ``systemctl status`` shows."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        microseconds = time.monotonic_ns() // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Shutting down, once running operations are done."""
        self._send("STOPPING=1")

    async def ping(self) -> None:
        """Feed the watchdog: the event loop turns."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(0)  # the loop never waits for who may not read
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("supervisor.unheard", error=str(error), message=lines[0])


def _ping_seconds(variables: Mapping[str, str], pid: int) -> float | None:
    """Seconds between pings; None when no watchdog waits for this process."""
    microseconds, whose = variables.get("WATCHDOG_USEC", ""), variables.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or whose not in {"", str(pid)}:
        return None
    return int(microseconds) / 1_000_000 / _PINGS
