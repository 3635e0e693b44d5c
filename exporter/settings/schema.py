"""Configuration as the operator writes it: ``restate-medic.yaml``, environment, flags.

Shapes and rules only: ``load`` finds the file and its places, ``app`` builds the daemon from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from exporter.model.component import RECOVERY_API_COMPONENTS, Component
from exporter.model.decision import Mode
from exporter.model.duration import format_duration
from exporter.model.heartbeat import Heartbeat
from exporter.model.operation import Window
from exporter.model.target import Target, Worker, is_placeholder, normalise_url
from exporter.model.token import TokenKind, kind_of
from exporter.notify import split_webhook
from exporter.policy.fields import Period
from exporter.settings.fields import (
    BaseUrl,
    Duration,
    Interval,
    Lease,
    NotBuilt,
    ServiceUrl,
    plain_name,
    problem,
    problems,
)
from exporter.settings.secrets import SecretRef, Section

ENV_PREFIX = "RESTATE_MEDIC_"
DEFAULT_LISTEN = "127.0.0.1:9970"
DEFAULT_STORAGE = "sqlite:///data/medic.db"
DEFAULT_POLICIES = ("policies/*.yaml", "policies/*.yml")
_ADDRESS = re.compile(r"(?:\[[^\[\]\s]+\]|[^:\[\]\s/]*):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535
_FLAGS = "\0flags"
"""No key of a YAML file can be this."""


_NOT_BOTH = "is of a Restate itself; a target is reached so or through dalp: remove one of them"
_NOT_BY_DALP: Mapping[str, str] = {
    **dict.fromkeys(("ingress_url", "admin_url", "ingress_token", "admin_token"), _NOT_BOTH),
    "invocations_interval": "one call to dalp reads everything; write interval",
    "drift_interval": "dalp discovers no worker; remove it",
    "heartbeat": "dalp starts no invocation; remove it, and write it where dalp is configured",
    "node_url": "dalp tells nothing of nodes; remove it",
    "protect": "dalp tells no metadata; remove it, and protect them where dalp is configured",
}
DALP_INTERVAL = timedelta(minutes=5)


class WorkerSettings(Section):
    """One worker that should be registered."""

    url: ServiceUrl
    services: tuple[str, ...] = ()


class ProtectSettings(Section):
    """Deployments that are never touched."""

    deployment_metadata: dict[str, str] = Field(default_factory=dict)


class DalpSettings(Section):
    """A remote operator API: a DALP platform, or another restate-medic."""

    url: BaseUrl
    api_key: SecretRef
    target: str | None = None
    """Which of its targets; needed when it has more than one."""

    @field_validator("api_key")
    @classmethod
    def _a_key(cls, ref: SecretRef) -> SecretRef:
        key = ref.read()
        if not (key.isascii() and key.isprintable() and " " not in key):
            msg = "what is kept there is no API key: it has characters that no header can carry"
            raise ValueError(msg)
        return ref

    @field_validator("target")
    @classmethod
    def _plain_name(cls, name: str | None) -> str | None:
        return None if name is None else plain_name(name)


class HeartbeatSettings(Section):
    """An invocation that is made now and then, to see that one gets through."""

    service: str = Field(min_length=1)
    handler: str = Field(min_length=1)
    every: Interval
    within: Interval = timedelta(seconds=30)
    """What takes longer is late."""

    @model_validator(mode="after")
    def _within_every(self) -> Self:
        if self.within > self.every:
            longest = format_duration(self.every)
            msg = f"is longer than every, so one would wait for the other; write {longest} or less"
            raise problem(("within",), msg)
        return self


class TargetSettings(Section):
    """One Restate environment, by its own URLs or through a remote operator API."""

    name: str
    ingress_url: BaseUrl | None = None
    admin_url: BaseUrl | None = None
    node_url: BaseUrl | None = None
    """Of one node, whose metrics tell of the partitions it runs; it takes no token."""
    heartbeat: HeartbeatSettings | None = None
    dalp: DalpSettings | None = None
    ingress_token: SecretRef | None = None
    admin_token: SecretRef | None = None
    service_url: ServiceUrl | None = None
    workers: tuple[WorkerSettings, ...] = ()
    expected_services: tuple[str, ...] = ()
    protect: ProtectSettings = ProtectSettings()
    labels: dict[str, str] = Field(default_factory=dict)
    interval: Interval | None = None
    invocations_interval: Interval | None = None
    drift_interval: Interval | None = None

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Where every secret of it is kept."""
        api_key = None if self.dalp is None else self.dalp.api_key
        keys = (self.ingress_token, self.admin_token, api_key)
        return tuple(ref for ref in keys if ref is not None)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("ingress_token")
    @classmethod
    def _ingress_takes_the_api_key(cls, ref: SecretRef | None) -> SecretRef | None:
        if ref is not None and kind_of(ref.read()) is TokenKind.JWT:
            msg = (
                "this is a JWT (it begins with eyJ), which only the admin API takes; the ingress"
                " wants the API key that begins with key_"
            )
            raise ValueError(msg)
        return ref

    @field_validator("admin_token")
    @classmethod
    def _readable(cls, ref: SecretRef | None) -> SecretRef | None:
        if ref is not None:
            ref.read()
        return ref

    @field_validator("workers")
    @classmethod
    def _workers_differ(cls, workers: tuple[WorkerSettings, ...]) -> tuple[WorkerSettings, ...]:
        first: dict[str, int] = {}
        for number, worker in enumerate(workers):
            if first.setdefault(normalise_url(worker.url), number) != number:
                msg = f"{worker.url!r} is listed twice; merge the two entries"
                raise problem((number, "url"), msg)
        return workers

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if self.dalp is None:
            mend = "is missing; write it, or dalp: {url: …, api_key: …}"
            wrong = {k: mend for k in ("ingress_url", "admin_url") if getattr(self, k) is None}
        else:
            wrong = {k: why for k, why in _NOT_BY_DALP.items() if k in self.model_fields_set}
        if wrong:
            raise problems({(key,): message for key, message in wrong.items()})
        return self

    @model_validator(mode="after")
    def _one_way_to_name_workers(self) -> Self:
        if self.service_url is not None and self.workers:
            msg = "is short for workers: [{url: …}]; write only one of them"
            raise problem(("service_url",), msg)
        return self


def _refuse_same_remote(number: int, dalp: DalpSettings, known: Mapping[str | None, str]) -> None:
    """Each Restate behind a remote operator API is one target."""
    if dalp.target in known:
        other, mend = known[dalp.target], "merge them"
    elif known and (dalp.target is None or None in known):
        # A remote with one target needs no name; one with several cannot do without.
        other, mend = next(iter(known.values())), "write the target: of each, or merge them"
    else:
        return
    raise problem((number, "dalp"), f"reaches what target {other!r} reaches too; {mend}")


class LimitSettings(Section):
    """A limit over everything policies do, on every target together."""

    max: int = Field(ge=0)
    per: Period
    """None is for ever."""

    @property
    def window(self) -> Window:
        """The same as the engine counts it."""
        return Window("global", self.max, self.per)


class NotifierSettings(Section):
    """Where people are told something."""

    webhook: SecretRef
    format: Literal["slack", "json"] = "slack"
    """``{"text": …}``, which Mattermost and others take as well; or the parts by name."""

    @field_validator("webhook")
    @classmethod
    def _a_url(cls, ref: SecretRef) -> SecretRef:
        url = ref.read()
        split_webhook(url)
        if is_placeholder(url):
            raise ValueError("the webhook's secret is a placeholder; write the real URL there")
        return ref


class StorageSettings(Section):
    """The ledger's database."""

    url: str = DEFAULT_STORAGE

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        _, scheme, rest = url.partition("sqlite:///")
        file = bool(scheme) and bool(rest) and not rest.endswith(("/", ":memory:"))
        if not file and not url.startswith("postgresql://"):
            msg = "is no database; write sqlite:///path/to/medic.db or postgresql://host/name"
            raise ValueError(msg)
        return url


class Settings(BaseSettings):
    """The whole configuration file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        validate_default=False,
    )
    targets: tuple[TargetSettings, ...]
    target_files: NotBuilt = None
    notifiers: dict[str, NotifierSettings] = Field(default_factory=dict)
    alertmanager: NotBuilt = None
    history: NotBuilt = None
    interval: Interval = timedelta(seconds=15)
    invocations_interval: Interval = timedelta(seconds=60)
    drift_interval: Interval = timedelta(minutes=5)
    timeout: Duration = timedelta(seconds=5)
    """How long one call to a Restate may take, connecting and reading together."""
    max_mode: Mode = Mode.ENFORCE
    policies: tuple[str, ...] = DEFAULT_POLICIES
    storage: StorageSettings = StorageSettings()
    limits: tuple[LimitSettings, ...] = ()
    allowed_service_urls: tuple[ServiceUrl, ...] = ()
    web_listen_address: str = DEFAULT_LISTEN
    web_config_file: Path | None = None
    """TLS and passwords, in the form that Prometheus and its exporters share."""
    reading_needs_key: bool = False
    """Whether metrics, pages and the API's reads are for key holders only."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lease: Lease = timedelta(seconds=60)
    """How long an operation's owner may be silent before the operation counts as interrupted."""
    drain_timeout: Duration = timedelta(seconds=30)
    """How long SIGTERM waits for a running operation."""

    @field_validator("targets")
    @classmethod
    def _targets_differ(cls, targets: tuple[TargetSettings, ...]) -> tuple[TargetSettings, ...]:
        if not targets:
            msg = "names none; write targets: [{name: …, ingress_url: …, admin_url: …}]"
            raise ValueError(msg)
        names: set[str] = set()
        admins: dict[str, str] = {}
        remotes: dict[str, dict[str | None, str]] = {}
        for number, target in enumerate(targets):
            if target.name in names:
                msg = f"two targets are named {target.name!r}; rename one"
                raise problem((number, "name"), msg)
            names.add(target.name)
            if target.dalp is not None:
                known = remotes.setdefault(normalise_url(target.dalp.url).rstrip("/"), {})
                _refuse_same_remote(number, target.dalp, known)
                known[target.dalp.target] = target.name
                continue
            other = admins.setdefault(normalise_url(str(target.admin_url)), target.name)
            if other != target.name:
                msg = f"is that of target {other!r} too: each Restate is one target; merge them"
                raise problem((number, "admin_url"), msg)
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
            heartbeat=None
            if target.heartbeat is None
            else Heartbeat(
                service=target.heartbeat.service,
                handler=target.heartbeat.handler,
                every=target.heartbeat.every,
                within=target.heartbeat.within,
            ),
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
