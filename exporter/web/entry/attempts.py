"""Failed attempts to get in, by where they came from: so many in a while, then an early no.

Bounded in memory: only the addresses that failed last are remembered.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

MOST = 10
WITHIN_SECONDS = 60.0
REMEMBERED = 1024


class Attempts:
    """Counts failures in a sliding window."""

    def __init__(
        self,
        *,
        most: int = MOST,
        within_seconds: float = WITHIN_SECONDS,
        remembered: int = REMEMBERED,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._within = within_seconds
        self._remembered = remembered
        self._monotonic = monotonic
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, client: str) -> float:
        """How long the client has to wait before it may fail again; 0: it may."""
        times = self._failed.get(_source(client))
        if times is None or len(times) < self._most:
            return 0.0
        return max(times[0] + self._within - self._monotonic(), 0.0)

    def failed(self, client: str) -> None:
        """Note one more failure."""
        source = _source(client)
        times = self._failed.setdefault(source, deque(maxlen=self._most))
        times.append(self._monotonic())
        self._failed.move_to_end(source)
        while len(self._failed) > self._remembered:
            self._failed.popitem(last=False)

    def __len__(self) -> int:
        return len(self._failed)


def _source(client: str) -> str:
    """Whose address it is: of IPv6 the network, as one host has as many addresses as it likes."""
    try:
        address = ip_address(client)
    except ValueError:
        return client[:64]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(address)
