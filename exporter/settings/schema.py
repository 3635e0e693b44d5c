"""Configuration as the operator writes it: ``restate-medic.yaml``, environment, flags.

Shapes and rules only: ``load`` finds the file and its places, ``app`` builds the daemon from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from exporter.model.component import RECOVERY_API_COMPONENTS, Component
from exporter.model.decision import Mode
from exporter.model.target import Target, Worker, normalise_url
from exporter.settings.alertmanager import AlertmanagerSettings
from exporter.settings.fields import (
    Duration,
    Interval,
    Lease,
    ServiceUrl,
    TelemetryPath,
    plain_name,
    problem,
)
from exporter.settings.report import ReportSettings
from exporter.settings.sections import (
    HistorySettings,
    LimitSettings,
    NotifierSettings,
    StorageSettings,
)
from exporter.settings.targets import (
    DALP_INTERVAL,
    TargetSettings,
    WorkerSettings,
    refuse_same,
)

ENV_PREFIX = "RESTATE_MEDIC_"
DEFAULT_LISTEN = "127.0.0.1:9970"
DEFAULT_POLICIES = ("policies/*.yaml", "policies/*.yml")
_ADDRESS = re.compile(r"(?:\[[^\[\]\s]+\]|[^:\[\]\s/]*):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535
SOME_TARGET = "write targets: [{name: …, ingress_url: …, admin_url: …}]"
NEEDS_RESTART = ("storage", "web_listen_address", "web_telemetry_path", "log_level", "lease")
"""The keys that a reload leaves as they were; it says so in the log."""
_FLAGS = "\0flags"
"""No key of a YAML file can be this."""


class Settings(BaseSettings):
    """The whole configuration file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        validate_default=False,
        use_attribute_docstrings=True,
    )
    target_files: tuple[str, ...] = ()
    """Files of more targets, or patterns of such files, from where the configuration is."""
    targets: tuple[TargetSettings, ...]
    """The Restate environments to watch; at least one, here or in a target file."""
    notifiers: dict[str, NotifierSettings] = Field(default_factory=dict)
    """Where policies tell people something, by the names that policies use."""
    report: ReportSettings | None = None
    """Who is told each day what the night was like. Without it nobody is."""
    alertmanager: AlertmanagerSettings | None = None
    """Whose alerts and silences hold policies. Without it none do."""
    history: HistorySettings = HistorySettings()
    """What is kept of the readings, so that policies can be tried on it."""
    interval: Interval = timedelta(seconds=15)
    """How often ingress, admin, deployments and services are read."""
    invocations_interval: Interval = timedelta(seconds=60)
    """How often invocations are scanned, which costs the server something, and nodes are read."""
    drift_interval: Interval = timedelta(minutes=5)
    """How often workers and deployments are asked what they serve."""
    timeout: Duration = timedelta(seconds=5)
    """How long one call to a Restate may take, connecting and reading together."""
    max_mode: Mode = Mode.ENFORCE
    """The lower of this and a policy's own mode counts: ``observe`` writes nothing anywhere.
    Flag: ``--max-mode``."""
    policies: tuple[str, ...] = DEFAULT_POLICIES
    """Policy files, folders of them, or patterns, from where the configuration is."""
    storage: StorageSettings = StorageSettings()
    """Where the ledger is."""
    limits: tuple[LimitSettings, ...] = ()
    """What all policies may do together, on all targets."""
    allowed_service_urls: tuple[ServiceUrl, ...] = ()
    """What policies may register beside the workers of a target."""
    web_listen_address: str = DEFAULT_LISTEN
    """``HOST:PORT``; without a host, every address of the machine. Flag:
    ``--web.listen-address``."""
    web_telemetry_path: TelemetryPath = "/metrics"
    """Where the metrics are. Flag: ``--web.telemetry-path``."""
    web_config_file: Path | None = None
    """TLS and passwords, in the form that Prometheus and its exporters share, from where the
    configuration is. Flag: ``--web.config.file``. A reload takes new certificates, passwords
    and headers; all else about TLS needs a restart."""
    reading_needs_key: bool = False
    """Whether metrics, pages and the API's reads are for key holders only."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    lease: Lease = timedelta(seconds=60)
    """How long an operation's owner may be silent before the operation counts as interrupted."""
    drain_timeout: Duration = timedelta(seconds=30)
    """How long SIGTERM waits for a running operation."""

    @field_validator("targets")
    @classmethod
    def _targets_differ(
        cls, targets: tuple[TargetSettings, ...], info: ValidationInfo
    ) -> tuple[TargetSettings, ...]:
        if not targets and not info.data.get("target_files"):
            raise ValueError(f"names none; {SOME_TARGET}")
        refuse_same(targets)
        return targets

    @field_validator("notifiers")
    @classmethod
    def _plain_names(cls, notifiers: dict[str, NotifierSettings]) -> dict[str, NotifierSettings]:
        for name in notifiers:
            try:
                plain_name(name)
            except ValueError as error:
                raise problem((name,), str(error)) from error
        return notifiers

    @field_validator("report")
    @classmethod
    def _to_somebody(
        cls, report: ReportSettings | None, info: ValidationInfo
    ) -> ReportSettings | None:
        if report is not None and "notifiers" in info.data:
            report.refuse_unknown(info.data["notifiers"])
        return report

    @field_validator("web_listen_address")
    @classmethod
    def _an_address(cls, address: str) -> str:
        found = _ADDRESS.fullmatch(address.strip())
        if found is None or int(found["port"]) > _LAST_PORT:
            msg = f"{address!r} is not an address; write 127.0.0.1:9970, :9970 or [::1]:9970"
            raise ValueError(msg)
        return address

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over the file; flags are merged over both by ``load``."""
        del dotenv_settings, file_secret_settings
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        flags = InitSettingsSource(settings_cls, given.pop(_FLAGS, {}))
        return flags, env_settings, init_settings

    @classmethod
    def layered(cls, file: Mapping[str, Any], flags: Mapping[str, Any]) -> Self:
        """Flags over the environment over the file. ValidationError has every problem."""
        return cls(**{**file, _FLAGS: dict(flags)})

    def target_of(self, target: TargetSettings) -> Target:
        """The expectations of one target, as rules see them."""
        workers = target.workers
        if target.service_url is not None:
            workers = (WorkerSettings(url=target.service_url),)
        return Target(
            name=target.name,
            kind="restate" if target.dalp is None else "dalp",
            workers=tuple(
                Worker(normalise_url(w.url), tuple(sorted(set(w.services)))) for w in workers
            ),
            expected_services=tuple(sorted(set(target.expected_services))),
            labels=dict(target.labels),
            protected_metadata=dict(target.protect.deployment_metadata),
            intervals=self._intervals(target),
            heartbeat=target.heartbeat.wanted if target.heartbeat else None,
        )

    def _intervals(self, target: TargetSettings) -> dict[Component, timedelta]:
        """How often each component is read; those that are absent are not."""
        if target.dalp is not None:
            return dict.fromkeys(RECOVERY_API_COMPONENTS, target.interval or DALP_INTERVAL)
        quick = target.interval or self.interval
        scans = target.invocations_interval or self.invocations_interval
        intervals = {
            Component.INGRESS: quick,
            Component.ADMIN: quick,
            Component.DEPLOYMENTS: quick,
            Component.SERVICES: quick,
            Component.INVOCATIONS: scans,
            Component.DRIFT: target.drift_interval or self.drift_interval,
        }
        if target.heartbeat is not None:
            intervals[Component.HEARTBEAT] = quick  # how often it is looked at
        if target.node_url is not None:
            intervals[Component.NODE] = scans
        return intervals
