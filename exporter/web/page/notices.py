"""What a page says after a form was sent: one of a few sentences, named in the address."""

from __future__ import annotations

from fastapi import Request

DONE = "done"
"""The parameter. The page's script takes it out of the address, so that it is said once."""
NOTICES = {
    "checked": "Read just now.",
    "checking": "It is being read; what is not there yet comes with the next refresh.",
    "paused": "Paused.",
    "resumed": "The pause is lifted.",
    "approved": "Approved. The next round carries it out if everything is as planned.",
    "rejected": "Rejected. It is proposed again only after all was well in between.",
    "reset": "The breaker is reset.",
    "not-reset": "Nothing had failed, so there was nothing to reset.",
    "nothing": "Nothing was done: the session had ended. Log in, and do it again.",
    "in": "Logged in.",
    "out": "Logged out.",
}


def notice_of(request: Request) -> str:
    """The sentence that the address asks for, if it is one of ours."""
    return NOTICES.get(request.query_params.get(DONE, ""), "")
