"""Which format and encoding a scrape gets, from whatever its headers say (RFC 9110, section 12.5).

Never fails: what cannot be parsed is ignored, and when nothing fits, plain text is served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_QUALITY = re.compile(r"0(?:\.[0-9]*)?|1(?:\.0*)?")


class Format(Enum):
    """An exposition format: media type, version, and the content type that names it."""

    TEXT = ("text/plain", "0.0.4")
    OPENMETRICS = ("application/openmetrics-text", "1.0.0")

    @property
    def content_type(self) -> str:
        """What the answer is labelled with."""
        media, version = self.value
        return f"{media}; version={version}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Range:
    """One entry of an Accept or Accept-Encoding header."""

    name: str
    quality: float
    version: str | None


def choose_format(accept: str) -> Format:
    """The best format for an Accept header; text unless OpenMetrics is asked for by name."""
    ranges = list(_parse(accept))
    quality, _, _, best = max(
        (_rank(candidate, ranges) for candidate in Format), key=lambda rank: rank[:3]
    )
    return best if quality > 0 else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client prefers gzip to no encoding, or at least likes it as much."""
    qualities = {entry.name: entry.quality for entry in _parse(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _rank(candidate: Format, ranges: list[_Range]) -> tuple[float, int, int, Format]:
    """Quality, how exactly it was asked for, how early: from the most specific range that fits."""
    fitting = [
        (specificity, -position, entry.quality)
        for position, entry in enumerate(ranges)
        if (specificity := _specificity(candidate, entry))
    ]
    specificity, position, quality = max(fitting, default=(0, -len(ranges), 0.0))
    return quality, specificity, position, candidate


def _specificity(candidate: Format, entry: _Range) -> int:
    """How exactly a media range names the format; 0 when it does not fit."""
    media, version = candidate.value
    if entry.name == media:
        return 4 if entry.version == version else 3 if entry.version is None else 0
    if entry.name == f"{media.partition('/')[0]}/*":
        return 2
    return 1 if entry.name == "*/*" else 0


def _parse(header: str) -> Iterator[_Range]:
    for item in _ITEM.findall(header):
        name, *parameters = [part.strip() for part in _PARAMETER.findall(item)] or [""]
        if not name:
            continue
        values: dict[str, str] = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            values.setdefault(key.strip().lower(), value.strip().strip('"'))
        quality = values.get("q", "1")
        if _QUALITY.fullmatch(quality):
            yield _Range(name.lower(), float(quality), values.get("version"))
