"""Every reason not to act, in the order the gates ask.

One enum for the log, the ledger, the metric label, the API, the page and ``explain``.
"""

from __future__ import annotations

from enum import StrEnum


class HoldReason(StrEnum):
    """The first of these that applies names the hold."""

    MODE_OFF = "mode_off"
    LEDGER_UNAVAILABLE = "ledger_unavailable"
    NOT_OWNER = "not_owner"
    PAUSED = "paused"
    MANUAL_HOLD = "manual_hold"
    CLOCK_SUSPECT = "clock_suspect"
    IDENTITY_CHANGED = "identity_changed"
    FROZEN = "frozen"
    REPORT_STALE = "report_stale"
    COMPONENT_UNKNOWN = "component_unknown"
    EXPRESSION_ERROR = "expression_error"
    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    BREAKER_OPEN = "breaker_open"
    STORM = "storm"
    ALERTS_UNKNOWN = "alerts_unknown"
    ALERT_FIRING = "alert_firing"
    SILENCED = "silenced"
    OUTSIDE_WINDOW = "outside_window"
    COOLDOWN = "cooldown"
    LIMIT_ITEM = "limit_item"
    LIMIT_TARGET = "limit_target"
    LIMIT_POLICY = "limit_policy"
    LIMIT_GLOBAL = "limit_global"
    PREFLIGHT_REFUSED = "preflight_refused"
    OBSERVING = "observing"
    AWAITING_APPROVAL = "awaiting_approval"
