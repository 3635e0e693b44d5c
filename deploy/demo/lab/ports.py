"""Picks TCP ports on loopback that nobody uses, and tells whether one is in use.

What is done with a port is left to whoever asked for it.
"""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range the kernel hands to outgoing connections (32768 and up on Linux, 49152 and up on
# macOS): a process that is restarted on its old port must find it free, and an outgoing
# connection could otherwise sit on it.
_LOWEST, _HIGHEST = 18_000, 32_000

_handed_out: set[int] = set()


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different free ports; no port is returned twice by one process."""
    found: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST):
        if len(found) == count:
            break
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            found.append(port)
    if len(found) < count:
        message = f"only {len(found)} free ports between {_LOWEST} and {_HIGHEST}, needed {count}"
        raise RuntimeError(message)
    return tuple(found)


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether something accepts connections on that port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
