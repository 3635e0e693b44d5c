"""What can go wrong in Restate's own words."""

from __future__ import annotations

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.views import Reachable
from exporter.transport import Answer

_ENDPOINT_IS_UNUSABLE = frozenset({"META0003", "META0012", "META0013", "META0014", "META0015"})
"""No answer, or one that is no (or not our) SDK's. Restate's manual, Error Codes."""
_UNDECODABLE = "bad response from the SDK"
"""Live 1.6.2 and 1.7.12 answer 500 with these words and no code when the manifest is malformed."""
_HEADERS_OF_THE_WORKER = " Response headers:"


class DiscoveryFailedError(CallFailedError):
    """Restate could not discover an endpoint; the admin API itself is not known to be broken.

    ``code`` is Restate's error code, if it gave one.
    """

    unreachable: bool = False
    """True when the endpoint is known not to work; false when that could not be found out."""

    @property
    def reachable(self) -> Reachable:
        """The word for a ``Discovery``."""
        return "no" if self.unreachable else "unknown"


def discovery_failure(answer: Answer) -> DiscoveryFailedError:
    """Turn the answer to a refused discovery into an error about the endpoint.

    A worker's response headers, which Restate quotes, are left out of the message.
    """
    message, code = answer.remote_error()
    message = message.partition(_HEADERS_OF_THE_WORKER)[0]
    if code is not None:
        message = message.replace(f"[{code}] [{code}]", f"[{code}]")
    error = DiscoveryFailedError(
        Reason.HTTP_STATUS,
        message or f"{answer.place}: answered {answer.status}",
        http_status=answer.status,
        code=code,
    )
    error.unreachable = (
        code in _ENDPOINT_IS_UNUSABLE
        or answer.status in {400, 422}  # not a URI at all; a malformed manifest on some versions
        or _UNDECODABLE in message
    )
    return error


def discovery_unfinished(error: CallFailedError) -> DiscoveryFailedError:
    """The same failure, of a discovery whose end we did not see."""
    return DiscoveryFailedError(
        error.reason,
        f"no end of the discovery was seen: {error}",
        http_status=error.http_status,
        retry_after=error.retry_after,
        sent=error.sent,
        code=error.code,
    )
