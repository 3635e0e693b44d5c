"""The JSON Schema of test files, for editors: made from the shapes and the catalogue.

``policies/tests.schema.json`` is this text; a test keeps it current.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.model.component import Component, Reason
from exporter.model.operation import Outcome
from exporter.model.variables import ITEM_KINDS, ValueType, Variable
from exporter.policy.fields import DURATION_PATTERN
from exporter.policy.schema_json import SchemaOfFile, no_empty_keys
from exporter.simulate.expectations import WORDS
from exporter.simulate.shapes import TestFileModel
from exporter.simulate.steps import SETTABLE

SCHEMA_ID = "tests.schema.json"
_TEXT = {"type": "string"}
_TYPES: Mapping[ValueType, dict[str, Any]] = {
    ValueType.STRING: _TEXT,
    ValueType.INT: {"type": "integer"},
    ValueType.BOOL: {"type": "boolean"},
    ValueType.DURATION: {"type": "string", "pattern": DURATION_PATTERN},
    ValueType.STRINGS: {"type": "array", "items": _TEXT},
}


def schema_for_tests() -> dict[str, Any]:
    """The schema as data (JSON Schema 2020-12). It accepts no less than the loader does."""
    schema = TestFileModel.model_json_schema(schema_generator=SchemaOfFile)
    for model in (schema, *schema["$defs"].values()):
        no_empty_keys(model)
    step = schema["$defs"]["StepModel"]["properties"]
    step["values"] |= _closed(_variables(SETTABLE))
    step["items"] |= _closed({kind: _items(kind) for kind in ITEM_KINDS})
    words = {"enum": ["ok", "unknown", *map(str, Reason)]}
    step["components"] |= _closed({str(one): words for one in Component})
    expected = schema["$defs"]["OperationModel"]["properties"]
    expected["outcome"] |= {"enum": [str(one) for one in Outcome]}
    decision = schema["$defs"]["DecisionModel"]["properties"]
    decision["decision"] |= {"enum": list(map(str, WORDS))}
    schema["$defs"]["StepModel"] |= {
        "oneOf": [{"required": ["for"]}, {"required": ["repeat", "steps"]}]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "restate-medic policy tests",
    }


def schema_for_tests_text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema_for_tests(), indent=2, ensure_ascii=False) + "\n"


def _variables(known: Iterable[Variable]) -> dict[str, Any]:
    """Each may be null, which is unknown."""
    return {
        one.name.removeprefix("item."): {
            "anyOf": [_TYPES[one.type], {"type": "null"}],
            "description": one.doc,
        }
        for one in known
    }


def _items(kind: str) -> dict[str, Any]:
    known = ITEM_KINDS[kind]
    row = {"type": "object"} | _closed(_variables(known.fields))
    return {
        "anyOf": [{"type": "object", "additionalProperties": row}, {"type": "null"}],
        "description": known.doc,
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"properties": properties, "additionalProperties": False}
