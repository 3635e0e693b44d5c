"""Conditions: what they may say, what they rest on, and that errors are never an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exporter.model.component import Component
from exporter.model.variables import ITEM_KINDS, VARIABLES
from exporter.policy.cel import Failed, Unknown, compile_condition, evaluate
from exporter.policy.cel_errors import ConditionError
from exporter.policy.document import Mark, read_document


def complaint(source: str, for_each: str | None = None) -> tuple[int, str]:
    with pytest.raises(ConditionError) as caught:
        compile_condition(source, for_each)
    first = caught.value.complaints[0]
    return first.offset, first.message


@pytest.mark.parametrize(
    ("source", "offset", "said"),
    [
        ("size(services.mising) > 0", 5, "did you mean 'services.missing'?"),
        ("size(service.missing) > 0", 5, "did you mean 'services.missing'?"),
        ("services.bogus == 1", 0, "write services.status, services.reason"),
        ("services == 1", 0, "'services' alone is not a variable"),
        ("nonsense.zzz", 0, "write target.…, ingress.…"),
        ("heartbeat.latte", 0, "did you mean 'heartbeat.late'?"),
        ('item.url == ""', 0, "'item.url' needs for_each; add for_each: workers or deployments"),
        ("siez(services.missing) > 0", 0, "'siez' is not a function; did you mean 'size'?"),
        ("invocations.paused > 1.5", 19, "write a whole number, or double(…) around the int"),
        ("ingress.age > 5", 12, 'write the other side as duration("5m")'),
        ('ingress.age > "5m"', 12, 'write the other side as duration("5m")'),
        ("services.missing > 0", 17, "compare size(…)"),
        ("ingress.status == 1", 15, "put quotes around text"),
        ("services.missing", 0, "gives list<string>, not true or false; ask for its size"),
        ("invocations.paused", 0, "compare it, as in invocations.paused > 0"),
        ("drift.stable and true", 13, "'and' is not CEL; write &&"),
        ("drift.stable & true", 13, "'&' is not CEL; write &&"),
        ("invocations.paused = 1", 19, "'=' is not CEL; write =="),
        ("drift.stable &&", 15, "the condition ends too early"),
        ("ingress.status == 'ok", 18, "a text is not closed"),
        ("", 0, "is empty"),
        ("// only a comment\n", 18, "ends too early"),
        ("(" * 100 + "true" + ")" * 100, 0, "cannot be compiled"),
        ('ingress.age > duration("7d")', 23, 'duration("168h") for 7 days'),
        ('admin.version.matches("(")', 22, "is no CEL regular expression"),
        ("true", 0, "reads nothing that is probed"),
        ('target.name == "prod"', 0, "reads nothing that is probed"),
    ],
)
def test_a_mistake_is_explained_where_it_stands(source: str, offset: int, said: str) -> None:
    """The offset is that of the wrong word, and the sentence says what to write instead."""
    found_offset, message = complaint(source)
    assert said in message
    assert found_offset == offset


def test_a_value_of_other_items_is_refused() -> None:
    """Each kind of item has its own values."""
    _, message = complaint("item.pinned > 0", "workers")
    assert "'item.pinned' is not a value of the items of for_each: workers" in message


def test_all_unknown_names_are_told_at_once() -> None:
    """One run shows every wrong name."""
    with pytest.raises(ConditionError) as caught:
        compile_condition("size(services.mising) > 0 && invocations.pasued > 0")
    assert [c.offset for c in caught.value.complaints] == [5, 29]


@pytest.mark.parametrize(
    ("source", "for_each", "uses"),
    [
        ("size(services.missing) > 0", None, {"services.missing"}),
        (
            "services.missing.exists(s, s == target.name) || drift.stable",
            None,
            {"services.missing", "target.name", "drift.stable"},
        ),
        ('target.labels.tier == "x" && drift.stable', None, {"target.labels", "drift.stable"}),
        ("has(target.labels.tier) && drift.stable", None, {"target.labels", "drift.stable"}),
        ('"ingress.status" == admin.status', None, {"admin.status"}),
        ("drift.stable // && ingress.status", None, {"drift.stable"}),
        ("item.missing.all(item, item != 'item.url')", "workers", {"item.missing"}),
        ("item.stable ? item.latest : false", "workers", {"item.stable", "item.latest"}),
    ],
)
def test_the_variables_a_condition_uses_are_exact(
    source: str, for_each: str | None, uses: set[str]
) -> None:
    """Names in texts and comments are no uses; loop variables neither; both branches are."""
    assert compile_condition(source, for_each).uses == uses


def test_every_variable_of_the_catalogue_compiles_and_is_found() -> None:
    """The catalogue, the type checker and the search for uses agree on every name."""
    for kind in (None, *ITEM_KINDS):
        for variable in VARIABLES + (ITEM_KINDS[kind].fields if kind else ()):
            source = f"{variable.name} == {variable.name} && drift.stable"
            assert compile_condition(source, kind).uses == {variable.name, "drift.stable"}


@pytest.mark.parametrize(
    ("source", "for_each", "components"),
    [
        ('ingress.status == "ok"', None, {"ingress"}),
        ('drift.age > duration("1h")', None, {"drift"}),
        ("size(deployments.ghost) > 0", None, {"deployments", "services", "invocations", "drift"}),
        ('item.reachable == "yes"', "workers", {"drift"}),
        ("size(item.missing) > 0", "workers", {"services"}),
        ('item.owner == "ours"', "deployments", {"deployments"}),
        ('item.cause == "error"', "workflows.failed", {"invocations"}),
    ],
)
def test_a_condition_rests_on_the_components_its_words_speak_of(
    source: str, for_each: str | None, components: set[str]
) -> None:
    """Values, statuses and the list of items each come from components."""
    found = compile_condition(source, for_each).components
    assert found == {Component(c) for c in components}


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("drift.stable", {"drift.stable": True}, True),
        ("drift.stable", {"drift.stable": False}, False),
        ("drift.stable", {}, Unknown(("drift.stable",))),
        ("drift.stable || invocations.paused > 0", {"drift.stable": True}, True),
        ("drift.stable && invocations.paused > 0", {"drift.stable": False}, False),
        (
            "drift.stable && invocations.paused > 0",
            {"drift.stable": True},
            Unknown(("invocations.paused",)),
        ),
        ("ingress.age > duration('1m')", {"ingress.age": timedelta(minutes=2)}, True),
    ],
)
def test_a_condition_is_true_false_or_unknown(
    source: str, values: dict[str, Any], expected: object
) -> None:
    """CEL decides what it can without what is unknown, and says so when it cannot."""
    assert evaluate(compile_condition(source), values) == expected


@pytest.mark.parametrize(
    ("source", "values", "said"),
    [
        ('drift.dropped[3] == "x"', {"drift.dropped": []}, "Index error"),
        ('target.labels["a"] == "b" && drift.stable', {"target.labels": {}}, "Key not found"),
        ("1 / invocations.paused > 0", {"invocations.paused": 0}, "divide by zero"),
        ("invocations.paused > 0", {"invocations.paused": "three"}, "Unexpected value type"),
        (
            "services.missing.exists(a, services.missing.exists(b, a == b + 'x'))",
            {"services.missing": [str(n) for n in range(2000)]},
            "Iteration budget exceeded",
        ),
    ],
)
def test_an_error_is_never_an_answer(source: str, values: dict[str, Any], said: str) -> None:
    """The library returns or raises errors; either way the condition has failed, not come true."""
    values = {"drift.stable": True} | values
    found = evaluate(compile_condition(source), values)
    assert isinstance(found, Failed)
    assert said in found.message


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("when: a == foo", Mark(1, 12)),
        ("when: 'a == foo'", Mark(1, 13)),
        ("when: '''a''=foo'", Mark(1, 14)),
        ('when: "\\"a\\"\\n == foo"', Mark(1, 19)),
        ("when: a ==\n  foo", Mark(2, 3)),
        ("when: |\n  a ==\n    foo\n", Mark(3, 5)),
        ("when: |-   # why\n\n  a ==\n  foo", Mark(4, 3)),
        ("when: >\n  a\n\n  == foo\n", Mark(4, 6)),
        ("when: >-\n  a ==\n  foo", Mark(3, 3)),
        ("x: 1\r\nwhen: a == foo\r\n", Mark(2, 12)),
        ("\ufeffwhen: a == foo", Mark(1, 12)),
    ],
)
def test_an_offset_in_a_condition_is_a_place_in_the_file(text: str, mark: Mark) -> None:
    """Whatever way YAML writes a text, the place is that of the word itself."""
    document = read_document(text)
    assert document.inside(("when",), document.data["when"].index("foo")) == mark
