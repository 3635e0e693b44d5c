"""``restate-medic redeploy``: register a worker again, the way a policy would."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

import typer

from exporter.cli.gate import Patience, not_registered, run_in_pipeline
from exporter.cli.office.office import Where
from exporter.cli.operate import Ask, operate
from exporter.cli.options import (
    Allow,
    AsJson,
    ConfigFile,
    DryRun,
    KeyFile,
    TargetName,
    Url,
    Why,
    Yes,
)
from exporter.cli.output import Exit, fail, friendly
from exporter.model.duration import parse_duration
from exporter.model.errors import ConfigurationError
from exporter.settings.load import SERVICE_URL_VARIABLE


@friendly
def redeploy(
    worker: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The worker's URL. Without one it is RESTATE_MEDIC_SERVICE_URL, else the target's"
            " only worker.",
            show_default=False,
        ),
    ] = None,
    *,
    service_url: Annotated[
        str | None,
        typer.Option(
            "--service-url",
            help="The worker's URL, as an option.",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    target: TargetName = None,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="For pipelines, after a rollout: do not ask, wait for the new worker, and exit"
            " non-zero unless it is registered and verified.",
        ),
    ] = False,
    warn: Annotated[
        bool,
        typer.Option("--warn", help="As --gate does; but what fails is a warning and exit 0."),
    ] = False,
    within: Annotated[
        str,
        typer.Option(help="With --gate or --warn: how long to wait for it.", metavar="DURATION"),
    ] = "2m",
    stable_for: Annotated[
        str,
        typer.Option(
            help="With --gate or --warn: for how long it must answer the same.",
            metavar="DURATION",
        ),
    ] = "10s",
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Register a worker with Restate again, so that the services it offers now are reachable.

    Refuses what would hurt: a URL that is not the latest, a worker that lost a
    service or a handler or changed a type. Headers, metadata and overrides that a
    registration wipes are kept.
    """
    if gate and warn:
        fail("--gate or --warn, not both", Exit.USAGE)
    if (gate or warn) and daemon is not None:
        fail("--gate and --warn ask Restate themselves: leave out --url", Exit.USAGE)
    if (gate or warn) and dry_run:
        fail("--dry-run registers nothing: leave out --gate and --warn", Exit.USAGE)
    patience = Patience(_duration("--within", within), _duration("--stable-for", stable_for))
    if patience.stable_for >= patience.within:
        fail("--stable-for must be shorter than --within", Exit.USAGE)
    try:
        named = worker_url(worker, service_url)
    except ConfigurationError as error:
        not_registered(error, as_json=as_json, warn=warn)
        return
    ask = Ask(
        where=Where(config_file, daemon, key_file),
        target=target,
        remedy="force-redeploy",
        arguments={} if named is None else {"url": named},
        reason=reason,
        allow=frozenset(map(str, allow or ())),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    if gate or warn:
        run_in_pipeline(ask, patience, warn=warn)
    else:
        operate(ask)


def worker_url(argument: str | None, option: str | None) -> str | None:
    """Which worker: what the command line says, else the environment; None is the target's own.

    A variable that is there and empty is an error: a pipeline that meant another worker must not
    register this one.
    """
    if argument is not None and option is not None and argument != option:
        raise ConfigurationError(["the URL is named twice, differently: leave one out"])
    for source, value in (
        ("the URL", argument),
        ("--service-url", option),
        (SERVICE_URL_VARIABLE, os.environ.get(SERVICE_URL_VARIABLE)),
    ):
        if value is not None:
            return _checked(source, value.strip())
    return None


def _checked(source: str, url: str) -> str:
    if not url:
        raise ConfigurationError([f"{source} is empty: write the worker's URL, or leave it out"])
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable and not url.startswith("arn:"):
        raise ConfigurationError([f"{source}: {url!r} is not a URL; write http://host:port"])
    return url


def _duration(option: str, text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        fail(f"{option}: {error}", Exit.USAGE)
    if duration <= timedelta(0):
        fail(f"{option}: {text} is no time at all; write 30s or 2m", Exit.USAGE)
    return duration
