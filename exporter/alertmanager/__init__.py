"""What Alertmanager tells: read over its API (version 2), at most every so often, for everybody.

``api`` makes one reading, ``watch`` keeps the newest; what it holds back, policies decide.
"""

from exporter.alertmanager.api import AlertmanagerApi
from exporter.alertmanager.watch import AlertWatch, Source

__all__ = ["AlertWatch", "AlertmanagerApi", "Source"]
