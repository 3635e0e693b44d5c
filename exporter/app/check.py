"""Everything that running needs of a configuration, checked without opening anything."""

from __future__ import annotations

from exporter.backends import dalp, direct
from exporter.ledger.engine import ledger_url
from exporter.model.errors import ConfigurationError
from exporter.model.target import TargetKind
from exporter.policy.load import check_against, load_policies
from exporter.policy.memory import too_short
from exporter.policy.policy import Policy
from exporter.policy.served import Served
from exporter.settings.load import Configuration
from exporter.web.serving.address import parse_address
from exporter.web.serving.tls import server_context


def check(configuration: Configuration) -> tuple[Policy, ...]:
    """Check everything that running needs, and load the policies.

    ConfigurationError lists the problems.
    """
    parse_address(configuration.settings.web_listen_address)
    tls = configuration.web.tls_server_config
    if tls is not None:
        server_context(tls)
    ledger_url(configuration.storage_url)
    policies = load_policies(
        configuration.policy_patterns,
        limits=tuple(limit.window for limit in configuration.settings.limits),
        base=configuration.base,
    )
    notifiers = configuration.settings.notifiers
    check_against(
        policies,
        configuration.targets,
        served(configuration),
        notifiers,
        alertmanager=configuration.settings.alertmanager is not None,
    )
    keep = configuration.settings.storage.keep
    if keep is not None and (problem := too_short(keep, policies)) is not None:
        raise ConfigurationError([problem])
    return policies


def served(configuration: Configuration) -> dict[str, Served]:
    """What each target can be asked for, by target name."""
    kinds: dict[TargetKind, Served] = {"restate": direct.SERVED, "dalp": dalp.SERVED}
    return {target.name: kinds[target.kind] for target in configuration.targets}
