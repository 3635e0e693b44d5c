"""Regular expressions as Alertmanager matches them: RE2, over the whole text, in linear time.

The engine is CEL's, which compiles a pattern each time (some 20 µs): answers are remembered, and
many texts are asked about at once. Python's own engine speaks another dialect, and has patterns
that never end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

LONGEST_PATTERN = 4096
"""Characters. Patterns of silences come from outside."""
_REMEMBERED = 65_536
_SPECIAL = re.compile("[^\x000-9A-Za-z_\x80-\U0010ffff]")
_NOT_BY_LINES = re.compile(r"\\[AzQ]|\(\?(?!:|P|i\))")
"""Whether a pattern may say something about the end of the text that a line's end does not fit."""
_FEW = 8
_NUL = "\ufffd"
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
    return _search(f"^(?:{pattern})$", text)


def which_match(pattern: str, texts: Sequence[str]) -> frozenset[str]:
    """The texts that the pattern matches whole, each asked alone only where one of a few may."""
    if len(texts) > _FEW and not _may_match_one(pattern, texts):
        return frozenset()
    if len(texts) <= _FEW:
        return frozenset(text for text in texts if matches_whole(pattern, text))
    half = len(texts) // 2
    return which_match(pattern, texts[:half]) | which_match(pattern, texts[half:])


def _may_match_one(pattern: str, texts: Sequence[str]) -> bool:
    """As lines of one text; what spans lines is found as well, so that yes means perhaps."""
    if _NOT_BY_LINES.search(pattern) or len(pattern) > LONGEST_PATTERN:
        return True
    return _search(f"(?m)^(?:{pattern})$", "\n".join(texts))


def _search(whole: str, text: str) -> bool:
    # CEL's Python takes a NUL for the end of a text.
    data = {"text": text.replace("\0", _NUL), "pattern": whole.replace("\0", _NUL)}
    try:
        answer = _program().eval(data=data).value()
    except (RuntimeError, ValueError, TypeError) as error:
        raise PatternError(_why(str(error), whole)) from error
    if answer is True or answer is False:
        return answer
    raise PatternError(_why(str(answer), whole))


def quoted(text: str) -> str:
    """A pattern that matches this text and nothing else."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)


def _why(message: str, whole: str) -> str:
    _, said, why = message.strip().partition("\n")[0].partition(_COMPLAINT)
    return why.replace(f": {whole}", "") if said else "is no regular expression of RE2"
