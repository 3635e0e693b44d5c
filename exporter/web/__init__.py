"""The HTTP side: metrics, health, reload, present decisions, and a page for people."""

from exporter.web.app import build_web
from exporter.web.serving.server import ListenError, WebServer, listen
from exporter.web.status import ReloadResult, StandingDecision, TargetStatus, WebStatus, follow

__all__ = [
    "ListenError",
    "ReloadResult",
    "StandingDecision",
    "TargetStatus",
    "WebServer",
    "WebStatus",
    "build_web",
    "follow",
    "listen",
]
