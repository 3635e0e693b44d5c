"""The remedies through a remote operator API: each is one request, which the other side verifies.

There is no dry-run: a plan says what will be asked for, and rests on what the doctor call lists.
The other side's own preflight is the only one that sees the engine, so its refusal is a refusal
here too (``RefusedElsewhereError``).
"""

from collections.abc import Mapping
from types import MappingProxyType

from exporter.remedies.notify import NOTIFY
from exporter.remedies.remedy import Remedy
from exporter.remedies.remote.cleanup import REMOTE_CLEANUP
from exporter.remedies.remote.context import RemoteContext
from exporter.remedies.remote.recover import REMOTE_RECOVER
from exporter.remedies.remote.redeploy import REMOTE_REDEPLOY

REMOTE_REMEDIES: Mapping[str, Remedy] = MappingProxyType(
    {remedy.name: remedy for remedy in (REMOTE_REDEPLOY, REMOTE_CLEANUP, REMOTE_RECOVER, NOTIFY)}
)
"""What can be asked of a remote operator API, by name; telling people asks nothing of it."""

__all__ = ["REMOTE_REMEDIES", "RemoteContext"]
