"""What Alertmanager's webhook sends, as far as it is looked at, and what it is answered.

Only the labels of the alerts count; whatever else a version sends is ignored.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from exporter.wire.body import Answer

TARGET_LABEL = "target"


class Alert(BaseModel):
    """One alert, firing or resolved."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]


class Notification(BaseModel):
    """One group of alerts."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    alerts: tuple[Alert, ...]


class WokenAnswer(Answer):
    """Which targets are read now. Alerts that name none, or one that is unknown, are counted."""

    woken: tuple[str, ...]
    unknown: int
    """Alerts whose ``target`` is none that is configured."""
    unlabelled: int
    """Alerts without the label ``target``."""
