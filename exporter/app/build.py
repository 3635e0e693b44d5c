"""What a configuration gives, built beside what runs: an invalid one changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.alertmanager import Source
from exporter.app.alertmanager import build_source
from exporter.app.check import check
from exporter.backends import dalp, direct
from exporter.backends.backend import Backend
from exporter.model.component import Component
from exporter.model.message import Tell
from exporter.model.target import Target
from exporter.notify import Destination
from exporter.policy.policy import Policy
from exporter.settings.load import Configuration
from exporter.settings.schema import Settings
from exporter.settings.secrets import TokenSource
from exporter.settings.targets import TargetSettings
from exporter.transport import Transport


@dataclass(frozen=True, slots=True)
class Built:
    """What one configuration gives: the targets' backends, the policies over them, who is told."""

    configuration: Configuration
    backends: dict[str, Backend]
    policies: tuple[Policy, ...]
    destinations: dict[str, Destination]
    alertmanager: Source | None = None


def build(
    configuration: Configuration,
    transport: Transport,
    *,
    tell: Tell,
    before: Built | None = None,
    beats: bool = False,
) -> Built:
    """Build the backends and load the policies of a configuration.

    A target that is written as ``before`` keeps its backend, and with it what paces its scans.
    With ``beats``, the heartbeats that are wanted are made.
    """
    backends = build_backends(configuration, transport, tell=tell, before=before, beats=beats)
    return Built(
        configuration,
        backends,
        check(configuration),
        _destinations(configuration),
        build_source(configuration.settings.alertmanager, transport),
    )


def _destinations(configuration: Configuration) -> dict[str, Destination]:
    notifiers = configuration.settings.notifiers.items()
    return {name: Destination(TokenSource(one.webhook), one.format) for name, one in notifiers}


def build_backends(
    configuration: Configuration,
    transport: Transport,
    *,
    tell: Tell,
    before: Built | None = None,
    beats: bool = False,
) -> dict[str, Backend]:
    """The backends by target name; one that is written as ``before`` is the same one."""
    settings = configuration.settings
    kept = _written(before.configuration) if before else {}
    backends: dict[str, Backend] = {}
    for name, written in _written(configuration).items():
        if before is not None and kept.get(name) == written:
            backends[name] = before.backends[name]
            backends[name].refresh_secrets()
        else:
            target_settings, target = written[:2]
            if not beats:
                target = _without_heartbeat(target)
            backends[name] = _backend(settings, target_settings, target, transport, tell)
    return backends


def _without_heartbeat(target: Target) -> Target:
    """The same, for a command: it starts none, so it would wait in vain to know how it is."""
    intervals = dict(target.intervals)
    intervals.pop(Component.HEARTBEAT, None)
    return replace(target, intervals=intervals, heartbeat=None)


def _written(configuration: Configuration) -> dict[str, tuple[TargetSettings, Target, object]]:
    """All that makes a target's backend, by name."""
    settings = configuration.settings
    shared = (settings.timeout, settings.allowed_service_urls)
    pairs = zip(settings.targets, configuration.targets, strict=True)
    return {target.name: (written, target, shared) for written, target in pairs}


def _backend(
    settings: Settings, written: TargetSettings, target: Target, transport: Transport, tell: Tell
) -> Backend:
    if written.dalp is not None:
        remote = dalp.RemoteConnection(
            url=written.dalp.url,
            api_key=TokenSource(written.dalp.api_key),
            target=written.dalp.target,
            allowed_service_urls=settings.allowed_service_urls,
        )
        return dalp.build_dalp(target, remote, transport, tell=tell)
    connection = direct.Connection(
        ingress_url=str(written.ingress_url),
        admin_url=str(written.admin_url),
        node_url=written.node_url,
        ingress_token=TokenSource(written.ingress_token),
        admin_token=TokenSource(written.admin_token),
        timeout=settings.timeout,
        allowed_service_urls=settings.allowed_service_urls,
    )
    return direct.build_direct(target, connection, transport, tell=tell)
