"""The address to listen on, as people write it."""

from __future__ import annotations

import re

from exporter.model.errors import ConfigurationError

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^:\[\]\s/]*)):(?P<port>\d{1,5})"
)
_LAST_PORT = 65535


def parse_address(address: str) -> tuple[str, int]:
    """Host (empty for every address) and port. ConfigurationError says what to write instead."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None or int(found["port"]) > _LAST_PORT:
        mend = "write 127.0.0.1:9970, :9970 or [::1]:9970"
        raise ConfigurationError([f"{address!r} is not an address to listen on; {mend}"])
    return found["v6"] or found["host"] or "", int(found["port"])
