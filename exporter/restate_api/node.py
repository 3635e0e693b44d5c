"""One node's own metrics: the only place that tells of partitions it cannot run.

``restate_partition_blocked_flare{partition,reason}`` appears with the first partition that is
blocked and is absent until then (live 1.6.2 and 1.7.12); ``restate_num_partitions`` is always
there on a node that runs partitions, half a second after it started.
"""

from __future__ import annotations

import re
from typing import Final

from exporter.model.views import NodeView
from exporter.transport import Answer, HttpClient, clean_text

MAX_BYTES: Final = 8 * 1024 * 1024
"""A page has about 200 KB with 2 partitions, 300 KB with 24."""
_PARTITIONS = "restate_num_partitions"
_BLOCKED = "restate_partition_blocked_flare"
_SAMPLE = re.compile(rf"(?P<name>{_PARTITIONS}|{_BLOCKED})(?:\{{(?P<labels>.*)\}})? (?P<value>\S+)")
_LABEL = re.compile(r'(?:^|,)(?P<name>partition|reason)="(?P<value>[^"\\]*)"')


class Node:
    """Speaks to ``{node_url}``, which takes no token."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def partitions(self) -> NodeView:
        """How many partitions there are, and which of them this node says it cannot run.

        Raises CallFailedError; ``bad_body`` for a page that is none of a node with partitions.
        """
        answer = await self._http.request("GET", "/metrics", max_bytes=MAX_BYTES)
        return _view(answer)


def _view(answer: Answer) -> NodeView:
    count: int | None = None
    blocked: dict[str, str] = {}
    for line in answer.body.decode("utf-8", "replace").splitlines():
        found = _SAMPLE.match(line)
        if found is None:
            continue
        value = _number(answer, found["value"])
        if found["name"] == _PARTITIONS:
            count = int(value)
        elif value > 0:
            labels = {m["name"]: m["value"] for m in _LABEL.finditer(found["labels"] or "")}
            blocked[labels.get("partition", "?")] = labels.get("reason", "")
    if count is None:
        raise answer.bad_body(f"not that of a node with partitions: it has no {_PARTITIONS}")
    named = sorted(blocked.items(), key=lambda pair: (len(pair[0]), pair[0]))
    return NodeView(count, tuple(clean_text(f"{p}: {why}" if why else p, 80) for p, why in named))


def _number(answer: Answer, text: str) -> float:
    """A sample's value; NaN, which is no count, is no usable page."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 2**31:
        raise answer.bad_body(f"not usable: a count is {clean_text(text, 40)}")
    return value
