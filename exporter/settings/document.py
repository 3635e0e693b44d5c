"""The page that documents every key of the configuration, made from the settings' models.

``make docs`` writes it; a test compares the two.
What a key means is the docstring under it, what a section is its class's.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.model.duration import format_duration
from exporter.settings.examples import EXAMPLE, WEB_EXAMPLE
from exporter.settings.fields import Kind
from exporter.settings.load import CONFIG_FILE_VARIABLE, KEY_VARIABLE, SERVICE_URL_VARIABLE
from exporter.settings.schema import ENV_PREFIX, NEEDS_RESTART, Settings
from exporter.settings.secrets import SecretRef
from exporter.settings.web_config import WebConfig

_HEAD = f"""\
# Configuration

One YAML file, named by `--config.file` or `{CONFIG_FILE_VARIABLE}`. This page is made from the
code that reads it, by `make docs`. Policies are files of their own, which `policies` names.

- A flag wins over an environment variable, that over the file, that over the default.
- Relative paths begin where the configuration file is; those in a target file or a web
  configuration, where that one is.
- Durations are written `15s`, `2m`, `1h30m`, `7d`.
- A key or a variable `{ENV_PREFIX}…` that does not exist is refused, with its place and what to
  write instead. `restate-medic run --config.check` says whether all is good, policies included.
- Without a file, one Restate on localhost:8080 and :9070 is watched, with `max_mode: observe`.

Lists and mappings in environment variables are written as JSON:
`{ENV_PREFIX}POLICIES='["policies/*.yaml"]'`. Two more variables are for
commands: `{SERVICE_URL_VARIABLE}` is the worker that `redeploy` registers, `{KEY_VARIABLE}` the
key that commands with `--url` show. `--log.format` (`json`, `pretty`, `auto`) is a flag only.

SIGHUP, `POST /-/reload` and a changed file (noticed within ten seconds, as are changed policies,
secrets and certificates) put everything into force but the keys marked *restart*. A configuration
that is refused leaves the old one in force; `config_last_reload_successful` is then 0.

## An example

A test loads it as it stands here.

```yaml
{EXAMPLE}```
"""
_SECRETS = """\
## Secrets

Never stand in the file. Every key of the type [secret](#secrets) says where one is kept, in exactly
one of two ways: `{env: NAME}` or `{file: PATH}`. Files are read again by every reload, when their
content changes, and when Restate refuses the token they held. What a secret held is shown nowhere.
"""
_WEB = f"""\
## The web configuration file

What `web_config_file` names: the form of Prometheus' exporter toolkit. What that knows and this
server cannot do is refused. It has no environment variables.

```yaml
{WEB_EXAMPLE}```
"""
_HEADINGS = "| key | type | default | what it says |"


@dataclass(frozen=True, slots=True)
class _Section:
    """A model, where it stands (``targets[].dalp``), and how the environment reaches its keys."""

    path: str
    model: type[BaseModel]
    variables: str | None

    @property
    def link(self) -> str:
        """Its heading as the renderers of Markdown name it."""
        return "#" + re.sub(r"[^a-z0-9_-]", "", self.path.lower())


def configuration_text() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    parts += [_section(one) for one in _sections(_Section("", Settings, ENV_PREFIX))]
    parts += [_SECRETS, _table(_Section("", SecretRef, None)), _WEB]
    parts += [_section(one) for one in _sections(_Section("", WebConfig, None))]
    return "\n".join(parts)


def _sections(root: _Section) -> Iterator[_Section]:
    """This one and those inside it, each model where it is met first."""
    met: set[type[BaseModel]] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop(0)
        if one.model in met:
            continue
        met.add(one.model)
        yield one
        inside = [_inside(one, name, hint) for name, hint, _ in _keys(one.model)]
        waiting = [found for found in inside if found is not None] + waiting


def _inside(around: _Section, name: str, hint: Any) -> _Section | None:  # noqa: ANN401 - any type
    """The section that is the key's value, or an item of it; a secret has its own chapter."""
    path = f"{around.path}.{name}" if around.path else name
    variables = f"{around.variables}{name.upper()}__" if around.variables else None
    hint = _bare(hint)
    if get_origin(hint) is tuple:
        path, hint, variables = f"{path}[]", _bare(get_args(hint)[0]), None
    elif get_origin(hint) is dict:
        path, hint, variables = f"{path}.NAME", _bare(get_args(hint)[1]), None
    if isinstance(hint, type) and issubclass(hint, BaseModel) and hint is not SecretRef:
        return _Section(path, hint, variables)
    return None


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, Any, FieldInfo]]:
    """Every key that is not refused whatever it holds, with its type as it is written."""
    hints = get_type_hints(model, include_extras=True)
    for name, info in model.model_fields.items():
        if _words(hints[name]) is not None:
            yield name, hints[name], info


def _section(one: _Section) -> str:
    if not one.path:
        return _table(one)
    lines = inspect.cleandoc(one.model.__doc__ or "").replace("``", "`")
    return f"### `{one.path}`\n\n{lines}\n\n{_table(one)}"


def _table(one: _Section) -> str:
    variables = one.variables is not None
    rows = [_HEADINGS, "|---|---|---|---|"]
    if variables:
        rows = ["| key | type | default | environment variable | what it says |", "|---" * 5 + "|"]
    for name, hint, info in _keys(one.model):
        said = _one_line(info.description or "")
        if one.model is Settings and name in NEEDS_RESTART:
            said += " *restart*"
        cells = [f"`{name}`", _type(one, name, hint), _default(info)]
        if variables:
            cells.append(f"`{one.variables}{name.upper()}`")
        rows.append(f"| {' | '.join([*cells, said])} |")
    return "\n".join(rows) + "\n"


def _type(around: _Section, name: str, hint: Any) -> str:  # noqa: ANN401 - any type
    words = _words(hint) or ""
    section = _inside(around, name, hint)
    return words if section is None else words.replace("mapping", f"[mapping]({section.link})")


def _words(hint: Any) -> str | None:  # noqa: ANN401 - any type
    """What the reference calls values of the type; None where there can be none."""
    if get_origin(hint) is Annotated:
        kinds = [one for one in hint.__metadata__ if isinstance(one, Kind)]
        return kinds[-1].words if kinds else _words(hint.__origin__)
    hint = _bare(hint)
    inner = get_args(hint)
    if get_origin(hint) is Annotated:
        return _words(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if get_origin(hint) is tuple:
        return f"list: {_words(inner[0])}"
    if get_origin(hint) is dict:
        return f"by name: {_words(inner[1])}"
    if issubclass(hint, SecretRef):
        return "[secret](#secrets)"
    if issubclass(hint, BaseModel):
        return "mapping"
    if issubclass(hint, Enum):
        return ", ".join(f"`{one.value}`" for one in hint)
    return _PLAIN[hint]


_PLAIN: Mapping[type, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    str: "text",
    Path: "path",
}


def _bare(hint: Any) -> Any:  # noqa: ANN401 - any type
    """The type without ``| None``, which a default of none says."""
    if get_origin(hint) in {Union, types.UnionType}:
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    return hint


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ({}, ()) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    plain = value.value if isinstance(value, Enum) else value
    return f"`{str(plain).lower() if isinstance(plain, bool) else plain}`"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("``", "`").replace("|", "\\|").strip()


if __name__ == "__main__":
    sys.stdout.write(configuration_text())
