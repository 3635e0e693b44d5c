"""What a browser's form sends: a few fields as text."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form; empty when the body is nothing of the kind.

    How long a body may be is bounded before it gets here.
    """
    body = await request.body()
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        )
    except ValueError:
        return {}
