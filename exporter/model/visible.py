"""Text in which nothing is hidden, for whatever people read."""

from __future__ import annotations

import re

_TRICKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that change how the text around them reads, or that no page can carry."""


def visible(value: object) -> object:
    """Text in which nothing is hidden: what changes how it reads is written as its code."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value  # what a template made itself is Markup
    return visible_text(value)


def visible_text(text: str) -> str:
    """The same of what is text for certain."""
    return _TRICKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
