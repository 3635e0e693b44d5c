"""Which names a compiled CEL expression refers to, read from its serialized form.

``Expression.serialize()`` is a ``cel.expr.CheckedExpr`` in a ``google.protobuf.Any``. Its
reference map (field 2) has, for each identifier and call, a ``Reference`` whose field 1 is the
full name of the variable. This reads those and nothing else, so no protobuf library is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

_ANY_VALUE = 2
_REFERENCE_MAP = 2
_MAP_VALUE = 2
_REFERENCE_NAME = 1
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}


def referenced_names(serialized: bytes) -> frozenset[str]:
    """Every name the type checker resolved: variables, loop variables and functions alike."""
    return frozenset(
        name.decode("utf-8")
        for checked in _messages(serialized, _ANY_VALUE)
        for entry in _messages(checked, _REFERENCE_MAP)
        for reference in _messages(entry, _MAP_VALUE)
        for name in _messages(reference, _REFERENCE_NAME)
    )


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    """The contents of each length-delimited field with this number."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _LENGTH_DELIMITED:
            length, at = _varint(data, at)
            if number == wanted:
                yield data[at : at + length]
            at += length
        elif wire_type == 0:
            _, at = _varint(data, at)
        else:
            at += _FIXED_BYTES[wire_type]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7
