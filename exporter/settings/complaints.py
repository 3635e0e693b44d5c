"""From validation errors to sentences: where a value was written, what is wrong, what to write."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from exporter.model.redact import redact_text
from exporter.policy.complaints import where
from exporter.policy.document import Document
from exporter.policy.words import did_you_mean
from exporter.settings.alertmanager import AlertmanagerSettings, BasicAuthSettings
from exporter.settings.files import line
from exporter.settings.report import ReportSettings
from exporter.settings.schema import ENV_PREFIX, Settings
from exporter.settings.secrets import SecretRef
from exporter.settings.sections import (
    HistorySettings,
    LimitSettings,
    NotifierSettings,
    StorageSettings,
)
from exporter.settings.targets import (
    DalpSettings,
    HeartbeatSettings,
    ProtectSettings,
    TargetSettings,
    WorkerSettings,
)

SECTIONS: Mapping[str, type[BaseModel]] = {
    "": Settings,
    "targets": TargetSettings,
    "workers": WorkerSettings,
    "protect": ProtectSettings,
    "dalp": DalpSettings,
    "heartbeat": HeartbeatSettings,
    "storage": StorageSettings,
    "limits": LimitSettings,
    "report": ReportSettings,
    "history": HistorySettings,
    "alertmanager": AlertmanagerSettings,
    "basic_auth": BasicAuthSettings,
    "token": SecretRef,
    "password": SecretRef,
    "ingress_token": SecretRef,
    "admin_token": SecretRef,
    "api_key": SecretRef,
    "webhook": SecretRef,
    "hmac_key": SecretRef,
    "old_hmac_keys": SecretRef,
}
"""What keys there are, by the key around them."""
_MENDS: Mapping[str, str] = {
    "missing": "is missing; write it",
    "string_type": "is not text; write it in quotes",
    "tuple_type": "is not a list; write [one, another]",
    "int_type": "is not a whole number; write 3, say",
    "int_parsing": "is not a whole number; write 3, say",
    "int_from_float": "is not a whole number; write 3, say",
    "model_type": "is not a mapping; write key: value",
    "model_attributes_type": "is not a mapping; write key: value",
    "dict_type": "is not a mapping; write key: value",
    "string_too_short": "is empty; write it",
}

_Path = tuple[int | str, ...]


def spell(
    error: ErrorDetails,
    file: Path | None,
    document: Document,
    flags: Mapping[str, Any],
    *,
    sections: Mapping[str, type[BaseModel]] = SECTIONS,
    layered: bool = True,
) -> str:
    """Say one validation error, at the place of the value that counts: flag, variable or file.

    What is not ``layered`` comes from the file alone.
    """
    path = tuple(error["loc"])
    said = _message(error, path, sections)
    message = f"{where(path)}: {said}" if path else said
    if path and path[0] in flags:
        return redact_text(f"command line: {message}")
    if layered and (variable := _variable(path)):
        return redact_text(f"{variable}: {message}")
    if file is None:
        return redact_text(f"configuration: {message}")
    # What is left empty stands nowhere; its key does.
    at_key = error["type"] == "extra_forbidden" or error["input"] is None
    return line(file, document.key_mark(path) if at_key else document.mark(path), message)


def undecodable(model: type[BaseModel] = Settings, prefix: str = ENV_PREFIX) -> list[str]:
    """Variables that should hold a list or a mapping, and hold no JSON; sections inside, too."""
    problems = []
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        kind = field.annotation
        for section in filter(_is_section, (kind, *get_args(kind))):
            problems += undecodable(section, f"{variable}__")
        mapping = get_origin(kind) is dict or _is_section(kind)
        if variable in os.environ and (mapping or get_origin(kind) is tuple):
            try:
                json.loads(os.environ[variable])
            except ValueError:
                example = '{"key": "value"}' if mapping else '["one", "another"]'
                problems.append(f"{variable}: is not JSON; write {example}")
    return problems


def _is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _variable(path: _Path) -> str | None:
    """The environment variable that gave the value, or what is around it."""
    names = [str(part) for part in path if isinstance(part, str)]
    for length in range(len(names), 0, -1):
        variable = ENV_PREFIX + "__".join(names[:length]).upper()
        if variable in os.environ:
            return variable
    return None


def _message(error: ErrorDetails, path: _Path, sections: Mapping[str, type[BaseModel]]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            mend = did_you_mean(str(path[-1]), _keys_around(path, sections)) or "; remove it"
            return f"is not a key of the configuration{mend}"
        case "enum" | "literal_error":
            return f"{error['input']!r} is not possible; write {context['expected']}"
        case "greater_than_equal":
            return f"{error['input']!r} is too small; write {context['ge']} or more"
        case kind if kind in _MENDS:
            return _MENDS[kind]
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _keys_around(path: _Path, sections: Mapping[str, type[BaseModel]]) -> list[str]:
    around = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
    named = path[:-2] == ("notifiers",)  # the key around is a notifier's name, whatever it is
    section = NotifierSettings if named else sections.get(around)
    return sorted(section.model_fields) if section else []
