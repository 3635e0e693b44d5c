"""Regular expressions as Alertmanager matches them: RE2, over the whole text, in linear time.

The engine is CEL's, which compiles a pattern each time; so answers are remembered, and a pattern
meets each text once. Python's own engine speaks another dialect, and has patterns that never end.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

LONGEST_PATTERN = 4096
"""Characters. Patterns of silences come from outside."""
_REMEMBERED = 65_536
_SPECIAL = re.compile("([^0-9A-Za-z_\x80-\U0010ffff])")
_COMPLAINT = "invalid regular expression: "


class PatternError(ValueError):
    """The text is no regular expression; says why."""


@cache
def _program() -> Any:  # noqa: ANN401 - the library has no types
    env = cel.NewEnv(variables={"text": cel.Type.STRING, "pattern": cel.Type.STRING})
    return env.compile("text.matches(pattern)")


@lru_cache(maxsize=_REMEMBERED)
def matches_whole(pattern: str, text: str) -> bool:
    """Whether the pattern matches all of the text. PatternError when it is none."""
    if len(pattern) > LONGEST_PATTERN:
        raise PatternError(f"has more than {LONGEST_PATTERN} characters")
    try:
        answer = _program().eval(data={"text": text, "pattern": f"^(?:{pattern})$"}).value()
    except (RuntimeError, ValueError, TypeError) as error:
        raise PatternError(_why(str(error), pattern)) from error
    if answer is True or answer is False:
        return answer
    raise PatternError(_why(str(answer), pattern))


def quoted(text: str) -> str:
    """A pattern that matches this text and nothing else."""
    return _SPECIAL.sub(r"\\\1", text).replace("\\\x00", r"\x00")


def _why(message: str, pattern: str) -> str:
    _, said, why = message.strip().partition("\n")[0].partition(_COMPLAINT)
    return why.replace(f": ^(?:{pattern})$", "") if said else "is no regular expression of RE2"
