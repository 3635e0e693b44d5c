"""One target as the operator writes it, and what two of them may not share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator

from exporter.model.duration import format_duration
from exporter.model.heartbeat import Heartbeat
from exporter.model.target import normalise_url
from exporter.model.token import TokenKind, kind_of
from exporter.settings.fields import (
    BaseUrl,
    Interval,
    ServiceUrl,
    plain_name,
    problem,
    problems,
)
from exporter.settings.secrets import SecretRef, Section

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
"""One call reads everything there, and has Restate scanned for it."""


class WorkerSettings(Section):
    """One worker that should be registered."""

    url: ServiceUrl
    """Where Restate reaches it."""
    services: tuple[str, ...] = ()
    """What it should serve; without it, if it is the only worker, all that is expected."""


class ProtectSettings(Section):
    """Deployments that are never touched."""

    deployment_metadata: dict[str, str] = Field(default_factory=dict)
    """Those that have all of this as metadata: ``{managed-by: restate-operator}``."""


class DalpSettings(Section):
    """A remote operator API: a DALP platform, or another restate-medic.

    Such a target has the same components, metrics, policies and commands, within what that API
    tells: no ``drift``, no single invocations, and ``force-redeploy`` only with a person's yes,
    since it has no dry-run. One doctor call reads all components, every ``interval``. A policy that
    asks for more is refused when it is loaded. What is safe to delete or recover the other side
    decides; a DALP platform may end work that is pinned to a deployment which does not answer, when
    it cleans up.
    """

    url: BaseUrl
    """Where it is, without ``/api``."""
    api_key: SecretRef
    """The key it is shown, as ``X-Api-Key``."""
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
    """An invocation that is made now and then, to see that one gets through.

    It has a key of its own, and there is one at most at a time, also over restarts. It is the only
    thing that is written without a policy or a person.
    """

    service: str = Field(min_length=1)
    """A service of yours, best a workflow that does nothing."""
    handler: str = Field(min_length=1)
    """One that takes no input."""
    every: Interval
    """How often it is called."""
    within: Interval = timedelta(seconds=30)
    """What takes longer is late."""

    @model_validator(mode="after")
    def _within_every(self) -> Self:
        if self.within > self.every:
            longest = format_duration(self.every)
            msg = f"is longer than every, so one would wait for the other; write {longest} or less"
            raise problem(("within",), msg)
        return self

    @property
    def wanted(self) -> Heartbeat:
        """The same as the doctor takes it."""
        return Heartbeat(self.service, self.handler, self.every, self.within)


class TargetSettings(Section):
    """One Restate environment, by its own URLs or through a remote operator API."""

    name: str
    """What it is called in metrics, commands and the ledger: letters, digits, dots, dashes,
    underscores. Another name is another target."""
    ingress_url: BaseUrl | None = None
    """Where callers reach Restate. Required, and so is ``admin_url``, unless there is ``dalp``."""
    admin_url: BaseUrl | None = None
    """Restate's admin API. No two targets share one."""
    node_url: BaseUrl | None = None
    """Of one node, whose metrics tell of the partitions it runs; it takes no token."""
    heartbeat: HeartbeatSettings | None = None
    """A real invocation now and then. Without it none is made."""
    dalp: DalpSettings | None = None
    """The operator API that is asked in place of a Restate."""
    ingress_token: SecretRef | None = None
    """A bearer token; on Restate Cloud the API key (``key_…``), never a JWT."""
    admin_token: SecretRef | None = None
    """A bearer token; on Restate Cloud a key of the role Admin, or a JWT."""
    service_url: ServiceUrl | None = None
    """The worker that should be registered; short for ``workers`` with one ``url``."""
    workers: tuple[WorkerSettings, ...] = ()
    """The workers that should be registered."""
    expected_services: tuple[str, ...] = ()
    """The services that callers rely on; each that is not registered is a finding."""
    protect: ProtectSettings = ProtectSettings()
    """Deployments that somebody else looks after."""
    labels: dict[str, str] = Field(default_factory=dict)
    """By these policies choose targets: ``targets: {labels: {tier: critical}}``."""
    interval: Interval | None = None
    """In place of the one for all; behind ``dalp`` for everything, and 5m without it."""
    invocations_interval: Interval | None = None
    """In place of the one for all."""
    drift_interval: Interval | None = None
    """In place of the one for all."""

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


def refuse_same(targets: Iterable[TargetSettings]) -> None:
    """Two targets of one name, or that reach the same Restate, are a problem."""
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
