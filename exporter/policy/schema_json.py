"""The JSON Schema of policy files, for editors: made from the models and the catalogue.

``policies/policy.schema.json`` is this text; a test keeps it current.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from exporter.model.duration import format_duration
from exporter.model.variables import ITEM_KINDS, VARIABLES, Variable
from exporter.policy.actions import ACTIONS, NEEDS_MENDING
from exporter.policy.schema import PolicyFileModel
from exporter.policy.words import listing

SCHEMA_ID = "policy.schema.json"


class SchemaOfFile(GenerateJsonSchema):
    """Writes defaults as files have them."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        """A duration as it is written."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def policy_schema() -> dict[str, Any]:
    """The schema as data (JSON Schema 2020-12). It accepts no less than the loader does."""
    schema = PolicyFileModel.model_json_schema(schema_generator=SchemaOfFile)
    for model in schema["$defs"].values():
        no_empty_keys(model)
    policy = schema["$defs"]["PolicyModel"]["properties"]
    policy["when"]["description"] = _conditions()
    policy["action"] = {
        "title": "Action",
        "description": policy["action"]["description"],
        "oneOf": [_action(name) for name in ACTIONS],
    }
    schema["$defs"]["PolicyModel"] |= _only_tells()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "restate-medic policies",
    }


def schema_text() -> str:
    """The schema as the file holds it."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def _action(name: str) -> dict[str, Any]:
    model = ACTIONS[name].arguments
    arguments = model.model_json_schema(schema_generator=SchemaOfFile)
    no_empty_keys(arguments)
    return {
        "type": "object",
        "title": name,
        "description": (model.__doc__ or "").strip(),
        "properties": {name: {"anyOf": [arguments, {"type": "null"}]}},
        "required": [name],
        "additionalProperties": False,
    }


def _only_tells() -> dict[str, Any]:
    """What a policy may not have when its action mends nothing, and must have otherwise."""
    names = [name for name in ACTIONS if not ACTIONS[name].mends]
    tells = {"anyOf": [{"required": [name]} for name in names]}
    return {
        "if": {"properties": {"action": tells}, "required": ["action"]},
        "then": {"properties": dict.fromkeys(NEEDS_MENDING, False)},
        "else": {"required": ["limits"]},
    }


def no_empty_keys(model: dict[str, Any]) -> None:
    """A key that may be left out may not be left empty."""
    for about in model["properties"].values():
        about.pop("title", None)
        if "default" in about and about["default"] is None:
            del about["default"]
            kinds = [kind for kind in about.pop("anyOf") if kind != {"type": "null"}]
            about.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _conditions() -> str:
    """The variables a condition may name, a line each."""
    parts = ["The condition, in CEL. Variables:", *map(_line, VARIABLES)]
    for fields in dict.fromkeys(kind.fields for kind in ITEM_KINDS.values()):
        kinds = [kind.name for kind in ITEM_KINDS.values() if kind.fields == fields]
        parts += ["", f"With for_each: {listing(kinds)}:", *map(_line, fields)]
    return "\n".join(parts)


def _line(variable: Variable) -> str:
    return f"{variable.name} ({variable.type}): {variable.doc}"
