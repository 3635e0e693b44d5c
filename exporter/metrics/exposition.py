"""The bytes a scrape serves: each target's lines rendered when its round ends, joined by family.

Rendering everything at the scrape takes seconds at 1,000 targets and blocks the event loop. Which
values there are is decided by ``instruments`` and ``families``; here is only text.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

from exporter.metrics.catalogue import TARGET_FAMILIES, Family
from exporter.metrics.negotiation import Format, accepts_gzip, choose_format

_EOF = b"# EOF\n"
_GZIP_FROM_BYTES = 1024
_THREAD_FROM_BYTES = 128 * 1024
_FASTEST = 1


_Prefixes = dict[tuple[str, ...], bytes]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer to a scrape."""

    body: bytes
    content_type: str
    content_encoding: str | None = None


@dataclass(frozen=True)
class _Metrics:
    """Metrics as something that ``generate_latest`` collects from."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


@dataclass(frozen=True)
class _Reserved:
    """Takes the target families' names in the registry, so that no HELP can appear twice."""

    families: tuple[Family, ...]

    def describe(self) -> Iterable[Metric]:
        return [family.empty() for family in self.families]

    def collect(self) -> Iterable[Metric]:
        return []


_GENERATE: Mapping[Format, Callable[[_Metrics], bytes]] = MappingProxyType(
    {Format.TEXT: generate_latest, Format.OPENMETRICS: openmetrics.generate_latest}
)


def _number(value: float) -> bytes:
    """A value as ``generate_latest`` ends a line with it."""
    return b"%s\n" % str(floatToGoString(value)).encode()  # type: ignore[no-untyped-call]


def new_registry() -> CollectorRegistry:
    """A registry of our own, with this process's ``process_*`` families (CPU, memory, start)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Exposition:
    """Rendered lines of every target beside a registry of process-wide metrics.

    ``families`` are gauges and counters: their sample lines are the same in both formats, so one
    rendering serves both and only the headers differ. Used from one event loop.
    """

    def __init__(
        self, *, registry: CollectorRegistry, families: tuple[Family, ...] = TARGET_FAMILIES
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry.register(_Reserved(families))
        self._registry = registry
        self._families = {family.family_name: family for family in families}
        self._headers = {
            fmt: {
                name: generate(_Metrics((family.empty(),))).removesuffix(_EOF)
                for name, family in self._families.items()
            }
            for fmt, generate in _GENERATE.items()
        }
        self._lines: dict[str, dict[str, bytes]] = {name: {} for name in self._families}
        self._prefixes: dict[str, dict[str, _Prefixes]] = {}

    def render(self, target: str, families: Iterable[Metric]) -> None:
        """Replace all lines of a target. A family that is not among them has none any more.

        ValueError when a family is not of the catalogue or comes twice: nothing is replaced then.
        """
        before = self._prefixes.get(target, {})
        prefixes: dict[str, _Prefixes] = {}
        rendered: dict[str, bytes] = {}
        for metric in families:
            if metric.name in rendered:
                raise ValueError(f"{metric.name} comes twice")
            prefixes[metric.name] = self._prefixes_of(metric, before.get(metric.name, {}))
            rendered[metric.name] = b"".join(
                prefix + _number(sample.value)
                for prefix, sample in zip(
                    prefixes[metric.name].values(), metric.samples, strict=True
                )
            )
        self._prefixes[target] = prefixes
        for name, lines in self._lines.items():
            lines[target] = rendered.get(name, b"")

    def drop(self, target: str) -> None:
        """Remove every series of a target."""
        for lines in self._lines.values():
            lines.pop(target, None)
        self._prefixes.pop(target, None)

    def _prefixes_of(self, metric: Metric, known: _Prefixes) -> _Prefixes:
        """Each sample's line up to its value, by label values, in the samples' order.

        Lines are made by ``generate_latest`` when a series appears and kept while it stays: most
        series of a round were there before, and escaping them again is most of the work.
        """
        keys = [tuple(sample.labels.values()) for sample in metric.samples]
        if keys == list(known):
            return known
        if not all(key in known for key in keys):
            page = generate_latest(_Metrics((metric,)))
            header = self._headers[Format.TEXT].get(metric.name)
            if header is None or not page.startswith(header):
                raise ValueError(f"{metric.name} is not in the catalogue like this")
            lines = page[len(header) : -1].split(b"\n")
            known = {
                key: line[: line.rindex(b" ") + 1] for key, line in zip(keys, lines, strict=True)
            }
        if len(prefixes := {key: known[key] for key in keys}) < len(keys):
            raise ValueError(f"{metric.name} has a series twice")
        return prefixes

    async def scrape(
        self, *, accept: str = "", accept_encoding: str = "", names: Iterable[str] = ()
    ) -> Scrape:
        """Answer a scrape in the best format for its headers; ``names`` are its ``name[]``."""
        fmt = choose_format(accept)
        body = self.body(fmt, frozenset(names))
        if len(body) < _GZIP_FROM_BYTES or not accepts_gzip(accept_encoding):
            return Scrape(body, fmt.content_type)
        if len(body) < _THREAD_FROM_BYTES:
            packed = gzip.compress(body, _FASTEST, mtime=0)
        else:
            packed = await asyncio.to_thread(gzip.compress, body, _FASTEST, mtime=0)
        return Scrape(packed, fmt.content_type, "gzip")

    def body(self, fmt: Format, names: frozenset[str] = frozenset()) -> bytes:
        """The whole page, uncompressed: target families, then those of the process."""
        parts: list[bytes] = []
        for name, header in self._headers[fmt].items():
            if names and not names & {name, self._families[name].name}:
                continue
            lines = self._lines[name].values()
            if any(lines):
                parts.append(header)
                parts.extend(lines)
        parts.append(_GENERATE[fmt](_Metrics(tuple(self._process(names)))))
        return b"".join(parts)

    def _process(self, names: frozenset[str]) -> Iterator[Metric]:
        """The registry's metrics; with ``names``, a whole family or its samples of that name."""
        for metric in self._registry.collect():
            if not names or metric.name in names:
                yield metric
                continue
            samples = [s for s in metric.samples if s.name in names]
            if samples:
                chosen = Metric(metric.name, metric.documentation, metric.type, metric.unit)
                chosen.samples = samples
                yield chosen
