"""Redaction: what is secret never survives, and what is not stays readable."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.redact import REDACTED, redact_text, redact_user_info, sanitise

MANY = settings(max_examples=150, deadline=None)
TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-_"
secret_texts = st.text(TOKEN_CHARACTERS, min_size=20, max_size=40).map("Zq".__add__)
"""Long and begun with something that no other part of a test contains."""
tokens = st.one_of(
    secret_texts.map("key_{}".format),
    secret_texts.map("rm_{}".format),
    secret_texts.map(lambda text: f"eyJ{text}.{text}.{text}"),
    secret_texts.map("Bearer {}".format),
    secret_texts.map("basic  {}".format),
)
around = st.text(" ,;:=()[]{}<>/?&\"'\n", max_size=5)
plain_words = st.text("abcdeXYZ019-._~%+:@!$&'()*,;=", max_size=12)


@st.composite
def urls(draw: st.DrawFn) -> tuple[str, str]:
    """What stands before the user info of a URL, and what stands after it."""
    scheme = draw(st.sampled_from(["http", "https", "HTTP", "postgresql", "restate+v2"]))
    host = draw(st.sampled_from(["h", "worker.local:9080", "[::1]:9080", "10.0.0.1"]))
    path = draw(st.sampled_from(["", "/", "/v1/x@y", "//", "/a:b"]))
    query = draw(st.sampled_from(["", "?q=1", "?to=a@b&c=/d:e"]))
    fragment = draw(st.sampled_from(["", "#part", "#a@b"]))
    return f"{scheme}://", f"{host}{path}{query}{fragment}"


@MANY
@given(urls(), secret_texts, st.text("@:!$&'()*+,;=%.~", max_size=4), around, around)
def test_user_info_is_replaced_and_the_rest_of_a_url_stays(
    url: tuple[str, str], secret: str, odd: str, before: str, behind: str
) -> None:
    """Host, path, query and fragment stay, as the operator API documents; also within a text."""
    head, tail = url
    for user_info in (secret, f"user:{odd}{secret}{odd}", f":{secret}", f"{secret}{odd}:"):
        text = f"{before} {head}{user_info}@{tail} {behind}"
        assert redact_text(text) == f"{before} {head}{REDACTED}@{tail} {behind}"


@MANY
@given(urls(), around)
def test_a_url_without_user_info_stays_as_it_is(url: tuple[str, str], behind: str) -> None:
    """An ``@`` in path, query or fragment is no user info."""
    text = f"{url[0]}{url[1]} {behind}"
    assert redact_text(text) == text


@MANY
@given(plain_words, plain_words, tokens, around, around)
def test_no_token_survives_in_text(
    first: str, last: str, token: str, before: str, behind: str
) -> None:
    """API keys, our own keys, JWTs, bearer and basic credentials, wherever they stand."""
    shown = redact_text(f"{first} {before}{token}{behind} {last}")
    assert "Zq" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "text",
    [
        "the primary_key_constraint of table rm_x",
        "key_short",
        "monkey_business-as-usual",
        "bearer of bad news",
        "deployment dp_17KvcyCfJl9Yhz at http://ddwf:9080/v1",
        "inv_1eyJabcdefabcdefabcdef",
        "",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Names that merely resemble a token are not hidden."""
    assert redact_text(text) == text


def test_several_urls_in_one_text() -> None:
    """Each loses its own user info, and the text between them stays."""
    text = 'from http://a:b@one/x to http://two/y, not "http://three","c@d"'
    assert redact_user_info(text) == text.replace("a:b@", "REDACTED@")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain_words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_words, inner, max_size=3),
    max_leaves=6,
)
secret_names = st.sampled_from(
    [
        "authorization",
        "Authorization",
        "Proxy-Authorization",
        "auth",
        "ingress_token",
        "adminToken",
        "password",
        "client_secret",
        "X-Api-Key",
        "apiKey",
        "Set-Cookie",
        "additional_headers",
        "additionalHeaders",
        "headers",
        "response_headers",
        "credentials",
    ]
)


@st.composite
def hiding(draw: st.DrawFn) -> tuple[Any, str]:
    """JSON-like data with a secret somewhere in it."""
    secret = draw(secret_texts)
    value: Any = draw(
        st.sampled_from(
            [
                {draw(secret_names): secret},
                {draw(secret_names): {"X-Anything": secret, "n": [secret]}},
                {draw(secret_names): [secret]},
                {draw(secret_names): (("X-Anything", secret),)},
                f"see http://user:{secret}@host/path",
                {f"http://{secret}@host": 1},
                {"text": f"Bearer {secret}"},
                frozenset({f"key_{secret}"}),
            ]
        )
    )
    for _ in range(draw(st.integers(0, 3))):
        other = draw(json_values)
        value = draw(st.sampled_from([{"a": value, "b": other}, [other, value], (value,)]))
    return value, secret


@MANY
@given(hiding())
def test_no_secret_survives_in_data(found: tuple[Any, str]) -> None:
    """By the name it goes by, or by how it looks, at any depth, as a key or in a set."""
    value, secret = found
    shown = json.dumps(sanitise(value))
    assert secret not in shown
    assert REDACTED in shown


@MANY
@given(json_values)
def test_data_without_secrets_stays(value: Any) -> None:
    """Numbers, names, lists and nothing at all: the copy says the same."""
    assert sanitise(value) == json.loads(json.dumps(value))


def test_a_header_map_is_hidden_whole() -> None:
    """Any of a deployment's headers may be a credential; that there are none may be told."""
    deployment = {"additional_headers": {"x-tenant": "a"}, "url": "http://h/", "headers": {}}
    assert sanitise(deployment) == {
        "additional_headers": REDACTED,
        "url": "http://h/",
        "headers": {},
    }


def test_words_about_people_are_no_secrets() -> None:
    """Only what is named like a secret is hidden by its name."""
    data = {"author": "mira", "key": "anna", "header": "x", "overridesKept": {"Greeter": {}}}
    assert sanitise(data) == data
