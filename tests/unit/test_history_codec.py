"""What history keeps comes back as it was, without secrets; what cannot be read is told."""

from __future__ import annotations

import json
import zlib
from dataclasses import MISSING, fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.history.blocks import VERSION, read_block
from exporter.history.codec import (
    FACTS,
    Decoder,
    Encoder,
    UnreadableError,
    microseconds,
    moment,
    without_secrets,
)
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode
from exporter.model.views import Deployment, FailedRun
from tests.unit.policy_scenes import NOW
from tests.unit.random_reports import scenes

TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"
OTHER_TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.b3RoZXI"
moments = st.timedeltas(timedelta(days=-20_000), timedelta(days=50_000)).map(NOW.__add__)
durations = st.timedeltas(timedelta(days=-3650), timedelta(days=3650))
texts = st.text(max_size=12).filter(lambda text: "@" not in text)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | texts
    | moments
    | durations
    | st.sampled_from([*Component, *Status, *Reason, *Mode])
)
values = st.recursive(
    leaves | st.frozensets(texts),
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=12,
)
st.register_type_strategy(datetime, moments)
st.register_type_strategy(timedelta, durations)
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(str, texts)


def through(value: object) -> Any:
    """Written as JSON text and read again."""
    encoder = Encoder()
    said = encoder.encode(value)
    classes = [[name, known] for name, (_, known) in encoder.classes.items()]
    classes, said = json.loads(json.dumps([classes, said]))
    return Decoder(classes, map(json.loads, encoder.objects)).decode(said)


@pytest.mark.parametrize("kind", [pytest.param(k, id=n) for n, k in FACTS.items()])
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_fact_of_every_kind_comes_back(kind: type, data: st.DataObject) -> None:
    """Equal in every field, whatever is in them."""
    fact = data.draw(st.from_type(kind))
    assert through(fact) == fact


@given(values)
def test_any_value_comes_back(value: object) -> None:
    """Also nested, with moments and durations to the microsecond."""
    assert through(value) == value


@given(scenes())
@settings(max_examples=50)
def test_a_report_comes_back(scene: tuple[Any, Any]) -> None:
    """A target with all that is expected of it, and a report of it."""
    assert through(scene) == scene


@given(moments)
def test_a_moment_is_exact(at: datetime) -> None:
    """To the microsecond, also where a float is not."""
    assert moment(microseconds(at)) == at


@pytest.mark.parametrize(
    "secret", [f"http://me:{TOKEN}@w:9080/", f"Bearer {TOKEN}", f"run {TOKEN} failed", "x://a:b@c"]
)
def test_no_secret_is_stored(secret: str) -> None:
    """Neither a URL's user info nor a token, wherever it stands."""
    encoder = Encoder()
    encoder.encode(FailedRun("inv_1", "S", secret, "run", NOW, NOW, secret, 0))
    stored = json.dumps(encoder.objects)
    assert TOKEN not in stored
    assert "me:" not in stored
    assert "a:b" not in stored


def test_metadata_is_hidden_by_its_name_too() -> None:
    """A password looks like any other word."""
    made = Deployment("dp_1", "http://w:1/", "http", NOW, (), {"password": "hunter2", "a": "b"})
    assert through(made).metadata == {"password": "REDACTED", "a": "b"}


def test_what_differs_in_a_secret_still_differs() -> None:
    """Two workflow keys that look like tokens are two keys, each time they are read."""
    one, other = without_secrets(TOKEN), without_secrets(OTHER_TOKEN)
    assert one != other
    assert without_secrets(TOKEN) == one
    assert through(TOKEN) == one


def test_equal_facts_are_stored_once() -> None:
    """However often they are referred to, and from wherever."""
    encoder = Encoder()
    run = FailedRun("inv_1", "S", "k", "run", NOW, NOW, "[500] boom", 0)
    assert encoder.encode((run, replace(run))) == [{"o": 0}, {"o": 0}]
    assert len(encoder.objects) == 1


def test_what_is_no_fact_is_refused_when_written() -> None:
    """Not stored as whatever its text form says."""
    with pytest.raises(TypeError, match="object is no fact that history keeps"):
        Encoder().encode(object())


RUN = ["inv_1", "S", "k", "run", {"t": 0}, {"t": 0}, "[500] boom", 0]
NAMES = [one.name for one in fields(FailedRun)]


def test_a_field_that_is_gone_is_dropped() -> None:
    """A block of an earlier version stays readable."""
    told = Decoder([("FailedRun", [*NAMES, "colour"])], [[0, *RUN, "red"]]).decode({"o": 0})
    assert told == FailedRun("inv_1", "S", "k", "run", moment(0), moment(0), "[500] boom", 0)


def test_a_field_that_is_new_has_its_default() -> None:
    """As long as it has one."""
    kept = [one.name for one in fields(Deployment) if one.default is MISSING][:5]
    row = [0, "dp_1", "http://w:1/", "http", {"t": 0}, ["S"]]
    told = Decoder([("Deployment", kept)], [row]).decode({"o": 0})
    assert (told.metadata, told.sdk_version) == ({}, None)


@pytest.mark.parametrize(
    ("classes", "objects", "sentence"),
    [
        ([("FailedRun", NAMES[:-2])], [], "FailedRun was stored without active_siblings, error"),
        ([("Gone", ["a"])], [], "facts of the kind Gone are not known"),
    ],
)
def test_what_is_not_known_is_told(classes: Any, objects: Any, sentence: str) -> None:
    """By the names of the class and of its fields."""
    with pytest.raises(UnreadableError, match=sentence):
        Decoder(classes, objects)


def block(*said: object) -> bytes:
    return zlib.compress(json.dumps(said).encode())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "it is damaged: "),
        (zlib.compress(b"x" * 500)[:20], "it is damaged: "),
        (zlib.compress(b"{}"), "it is damaged: "),
        (block(VERSION, [], [], None, []), "it is damaged: "),
        (block(VERSION, [], [], [None, None], [[1, 1, []]]), "does not tell what it rests on"),
        (
            block(VERSION + 1, [], [], None, []),
            f"of version {VERSION + 1}.*version {VERSION}",
        ),
        (block(VERSION, [], [], [{"z": 1}, None], []), "a value of the kind 'z' is not known"),
        (block(VERSION, [], [], [{"o": 7}, None], []), "it is damaged: "),
    ],
    ids=["empty", "cut", "other", "nothing", "no-base", "version", "kind", "number"],
)
def test_a_bad_block_is_told(body: bytes, sentence: str) -> None:
    """A sentence, whatever is wrong with it; never a stack trace or half a block."""
    with pytest.raises(UnreadableError, match=sentence):
        read_block("prod", "boot", body)


@given(st.binary(max_size=200))
def test_no_bytes_are_mistaken_for_a_block(body: bytes) -> None:
    """Whatever lies there instead."""
    with pytest.raises(UnreadableError):
        read_block("prod", "boot", body)
