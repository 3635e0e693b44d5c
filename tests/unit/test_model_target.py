"""URLs compared the way the server stores them, and stand-ins told from real addresses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.target import is_placeholder, normalise_url

MANY = settings(max_examples=200, deadline=None)
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:Greeter:1"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("http://h:9080", "http://h:9080/"),
        ("http://h:9080/", "http://h:9080/"),
        ("HTTP://Worker.Example.ORG:9080", "http://worker.example.org:9080/"),
        ("http://h:9080/v1", "http://h:9080/v1"),
        ("http://h:9080/v1/", "http://h:9080/v1/"),
        ("http://h:9080/V1?Q=A", "http://h:9080/V1?Q=A"),
        ("http://h:80", "http://h/"),
        ("https://h:443/x", "https://h/x"),
        ("https://h:80", "https://h:80/"),
        ("http://[::1]:9080", "http://[::1]:9080/"),
        ("http://User:Pass@H:9080", "http://User:Pass@h:9080/"),
        ("  http://h:9080\n", "http://h:9080/"),
        (ARN, ARN),
        ("worker:9080", "worker:9080"),
        ("", ""),
        ("http://[::1", "http://[::1"),
    ],
)
def test_a_url_is_written_as_the_server_stores_it(written: str, stored: str) -> None:
    """Scheme and host in lower case, a path of at least ``/``; the rest is left alone."""
    assert normalise_url(written) == stored


@MANY
@given(st.text(max_size=20) | st.text("htps:/@[]?#%.A1 ", max_size=20).map("http://".__add__))
def test_normalising_never_fails_and_changes_nothing_twice(text: str) -> None:
    """Whatever was written, and whatever a server lists: what is normalised stays so."""
    text = "".join(text.split())
    once = normalise_url(text)
    assert normalise_url(once) == once


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://api.example.org:9070/x",
        "http://worker.example.net",
        "http://example:9080",
        "http://ingress.invalid",
        "http://your-domain.com",
        "https://your-platform.io",
        "http://<host>:9080",
        "http://{{ host }}:9080",
        "http://host:9080/changeme",
        "HTTP://EXAMPLE.COM",
    ],
)
def test_a_stand_in_is_told(url: str) -> None:
    """A template's address that nobody filled in must not be registered, nor watched."""
    assert is_placeholder(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080",
        "http://ddwf:9080/v1",
        "http://example.company.io",
        "http://myexample.com",
        "http://10.0.0.1:9080",
        ARN,
        "",
        "http://[::1",
    ],
)
def test_a_real_address_is_no_stand_in(url: str) -> None:
    """Only whole reserved names count, not names that contain them."""
    assert not is_placeholder(url)
