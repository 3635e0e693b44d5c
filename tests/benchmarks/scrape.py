"""How much faster a scrape is than rendering an equal registry at the moment it is asked for.

Both run in this process, one after the other, on the same made-up targets; what they answer is
compared byte by byte first. By hand: ``python -m tests.benchmarks.scrape``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from exporter.metrics import Exposition, Instruments
from exporter.metrics.catalogue import TARGET_FAMILIES
from exporter.metrics.negotiation import Format
from exporter.model.derive import derive
from tests.benchmarks import synthetic

TARGETS = 1_000
AIM = 50.0
_SERVICES = tuple(f"Service{n}" for n in range(5))


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """Medians in milliseconds. ``ratio`` is how many times faster the scrape is; the aim is 50."""

    targets: int
    series: int
    scrape_ms: float
    gzip_scrape_ms: float
    generate_ms: float
    round_ms: float
    """What rendering one target costs when its round ends."""

    @property
    def ratio(self) -> float:
        """``generate_latest`` over the scrape, both without compression."""
        return self.generate_ms / self.scrape_ms


class Recording(Exposition):
    """An exposition that also keeps what it was given, and can collect it like any registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry=registry)
        self.given: dict[str, tuple[Metric, ...]] = {}

    def render(self, target: str, families: Iterable[Metric]) -> None:
        self.given[target] = tuple(families)
        super().render(target, self.given[target])

    def drop(self, target: str) -> None:
        self.given.pop(target, None)
        super().drop(target)

    def combined(self) -> list[Metric]:
        """Each family once, with the samples of every target."""
        families: dict[str, Metric] = {f.family_name: f.empty() for f in TARGET_FAMILIES}
        for given in self.given.values():
            for metric in given:
                families[metric.name].samples.extend(metric.samples)
        return [family for family in families.values() if family.samples]


class Combined:
    """A registry equal to an exposition: its families, made once, then the process's own."""

    def __init__(self, exposition: Recording, registry: CollectorRegistry) -> None:
        self._families = exposition.combined()
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        yield from self._families
        yield from self._registry.collect()


def measure(targets: int = TARGETS, repeat: int = 5) -> ScrapeResult:
    """Measure both on equal content; RuntimeError when the two do not answer the same bytes."""
    registry = CollectorRegistry()
    exposition = Recording(registry)
    instruments = Instruments(registry=registry, exposition=exposition, version="benchmark")
    round_ms = _rounds(instruments, targets)
    equal = Combined(exposition, registry)
    if exposition.body(Format.TEXT) != generate_latest(equal):
        raise RuntimeError("the scrape and generate_latest do not answer the same")
    return asyncio.run(_compare(exposition, equal, targets, repeat, round_ms))


def _rounds(instruments: Instruments, targets: int) -> float:
    """Two rounds of every target; milliseconds of one in the second, as in all later ones."""
    fleet = [synthetic.target(f"target-{n:04}", _SERVICES) for n in range(targets)]
    instruments.configure(fleet, {}, now=synthetic.START)
    seen = synthetic.views(_SERVICES)
    began = 0.0
    for at in (synthetic.START, synthetic.START + timedelta(seconds=15)):
        reports = [synthetic.report(target, at, seen) for target in fleet]
        found = [derive(r, t, now=at) for r, t in zip(reports, fleet, strict=True)]
        began = time.perf_counter()
        for report, findings in zip(reports, found, strict=True):
            instruments.round_ended(report, findings, now=at)
    return (time.perf_counter() - began) * 1000 / targets


async def _compare(
    exposition: Recording, equal: Combined, targets: int, repeat: int, round_ms: float
) -> ScrapeResult:
    plain, packed, generated = [], [], []
    for _ in range(repeat):
        began = time.perf_counter()
        await exposition.scrape()
        plain.append(time.perf_counter() - began)
        began = time.perf_counter()
        await exposition.scrape(accept_encoding="gzip")
        packed.append(time.perf_counter() - began)
        began = time.perf_counter()
        generate_latest(equal)
        generated.append(time.perf_counter() - began)
    return ScrapeResult(
        targets=targets,
        series=sum(len(metric.samples) for metric in equal.collect()),
        scrape_ms=median(plain) * 1000,
        gzip_scrape_ms=median(packed) * 1000,
        generate_ms=median(generated) * 1000,
        round_ms=round_ms,
    )


def main() -> None:
    """Print the result."""
    result = measure()
    print(f"{result.targets} targets, {result.series} series")
    print(f"  scrape           {result.scrape_ms:9.2f} ms (gzip {result.gzip_scrape_ms:.2f} ms)")
    print(f"  generate_latest  {result.generate_ms:9.2f} ms")
    print(f"  ratio            {result.ratio:9.1f} (aim: at least {AIM:g})")
    print(f"  rendering, for each round of a target: {result.round_ms:.2f} ms")


if __name__ == "__main__":
    main()
