"""A message as the JSON body that a webhook takes: cleaned, bounded, and escaped for Slack."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from exporter.model.message import Message
from exporter.model.redact import redact_text

Format = Literal["slack", "json"]

_TITLE_LENGTH = 200
_TEXT_LENGTH = 2500
_FACT_LENGTH = 300
_MOST_FACTS = 16
_LOOKED_AT = 20
"""Of a text that is too long, so many times the length is redacted before it is cut."""
_UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)
_MENTION = re.compile(r"(?i)@(?=(?:channel|here|all|everyone)\b)")
"""What Slack itself ignores, but those who are compatible with it do not."""


def to_slack(message: Message) -> dict[str, Any]:
    """``{"text": …}`` with Slack's mrkdwn, which Mattermost, Rocket.Chat and others take too."""
    lines = [f"*{_escaped(_line(message.title, _TITLE_LENGTH))}*"]
    if message.text:
        lines.append(_escaped(_clean(message.text, _TEXT_LENGTH)))
    lines += [f"• {_escaped(name)}: {_escaped(value)}" for name, value in _facts(message).items()]
    return {"text": "\n".join(lines)}


def to_json(message: Message) -> dict[str, Any]:
    """The parts of a message by name, for programs."""
    return {
        "source": "restate-medic",
        "kind": message.kind,
        "title": _line(message.title, _TITLE_LENGTH),
        "text": _clean(message.text, _TEXT_LENGTH),
        "facts": _facts(message),
    }


BODIES: Mapping[Format, Callable[[Message], dict[str, Any]]] = MappingProxyType(
    {"slack": to_slack, "json": to_json}
)
"""By the format's name in the configuration."""


def _facts(message: Message) -> dict[str, str]:
    rows = list(message.facts.items())[:_MOST_FACTS]
    return {_line(name, _FACT_LENGTH): _line(value, _FACT_LENGTH) for name, value in rows}


def _line(text: str, length: int) -> str:
    return _clean(text.replace("\n", " "), length)


def _clean(text: str, length: int) -> str:
    """Without secrets and control characters; secrets first, so that no cut hides one."""
    text = _UNPRINTABLE.sub(" ", redact_text(text[: _LOOKED_AT * length])).strip()
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _escaped(text: str) -> str:
    """Nothing in it is a link, a mention or a command; ``&`` first."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub("@\N{ZERO WIDTH SPACE}", text)
