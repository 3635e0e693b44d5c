"""Formats and encodings are chosen as RFC 9110 says, and no header can make it fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.negotiation import Format, accepts_gzip, choose_format

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    + PROMETHEUS_2
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/*", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (PROTOBUF_FIRST, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0; Charset=UTF-8", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/*", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", TEXT),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.7", TEXT),
        ("text/plain;q=0.3,application/openmetrics-text;q=0.7", OPENMETRICS),
        ("application/openmetrics-text;q=0,*/*", TEXT),
        ("text/plain;q=0,*/*;q=0.1", OPENMETRICS),
        ("text/plain,application/openmetrics-text", TEXT),
        ("application/openmetrics-text,text/plain", OPENMETRICS),
        ("application/openmetrics-text;q=banana", TEXT),
        ("application/openmetrics-text;q=nan,text/plain", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=1.000", OPENMETRICS),
        ("application/json", TEXT),
        ("*/*;q=0", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        (",,;;q,=,;", TEXT),
        ('"', TEXT),
        ('text/plain;x="a,application/openmetrics-text"', TEXT),
    ],
)
def test_format(accept: str, expected: Format) -> None:
    """OpenMetrics when it is asked for by name and liked most, otherwise the text format."""
    assert choose_format(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("gzip;q=1, identity;q=0.5", True),
        ("br", False),
        ("gzip;q=x", False),
        ("gzipped", False),
    ],
)
def test_gzip(header: str, expected: bool) -> None:
    """Compressed only for those who ask for gzip, and not for those who refuse it."""
    assert accepts_gzip(header) is expected


@given(st.text() | st.text(',;="*/q.01\\ version', max_size=60))
def test_no_header_fails(header: str) -> None:
    """Whatever a client sends there is an answer, never an error."""
    assert choose_format(header) in Format
    assert accepts_gzip(header) in {True, False}
