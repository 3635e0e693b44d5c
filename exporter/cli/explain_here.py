"""What ``policy explain`` shows without a daemon: targets read once, decided with the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.cli.orders import known
from exporter.explain import Acting, Explanation, explain, explanation_body
from exporter.model.component import Component
from exporter.model.redact import redact_text
from exporter.policy.decide import decide
from exporter.settings.load import Configuration, load
from exporter.settings.sections import StorageSettings
from exporter.surroundings import Surroundings
from exporter.wire.body import timestamp
from exporter.wire.decisions import concerns
from exporter.wire.explain import ExplainAnswer

_ONCE = (
    "Everything was read once, just now: for how long a condition has been true, what a preflight"
    " refused and which heartbeats were late only the daemon knows (--url), so `for` begins now."
)
_ACTING = "Decided as the daemon would that acts for the targets."


async def look(
    config_file: Path | None, target: str | None, policy: str | None, item: str | None
) -> ExplainAnswer:
    """Explain what is asked for. LedgerUnavailableError is a gate that holds, and no error."""
    configuration = load(config_file)
    names = configuration.choose_all(target)
    with _without_trace(configuration) as (used, notes):
        async with open_engine(used, ledger_required=False) as engine:
            if policy is not None:
                known("policy", policy, (one.name for one in engine.policies))
            found = await _read(engine, names)
            at = timestamp(engine.now())
    rows = [
        one
        for one in found
        if policy in {None, one.decision.subject.policy} and concerns(one.decision, item)
    ]
    if item is not None and not rows:
        items = (one.decision.subject.item for one in found)
        known("item", item, {redact_text(key) for key in items if key is not None})
    bodies = tuple(explanation_body(one, None) for one in rows)
    return ExplainAnswer(at=at, notes=(_ONCE, _ACTING, *notes), explanations=bodies)


async def _read(engine: Engine, names: list[str]) -> list[Explanation]:
    """Read whatever may hold something on these targets, and explain them."""
    targets = engine.configuration.targets
    mine = [p for p in engine.policies if any(p.matches(t) for t in targets if t.name in names)]
    # A storm is a matter of all targets that a policy is about.
    wanted = [t.name for t in targets if t.name in names or any(p.matches(t) for p in mine)]
    surroundings = Surroundings(
        ledger=engine.ledger,
        remediator=engine.remediator,
        ownership=Acting(),
        alarms=lambda: engine.alerts.alarms,
    )
    surroundings.configure(engine.policies, targets)
    asked = engine.now()  # discoveries may take minutes: nothing is too old because of them
    await asyncio.gather(
        engine.alerts.look(), *(engine.read(name, frozenset(Component)) for name in wanted)
    )
    max_mode, ledger_ok = engine.configuration.settings.max_mode, engine.ledger.available
    for name in wanted:
        backend, report = engine.backends[name], engine.fleet.report(name)
        surroundings.look(backend.target, backend.remedies, report, now=asked)
        findings, world = surroundings.scene(
            backend.target, report, max_mode=max_mode, ledger_ok=ledger_ok, now=asked
        )
        decisions = decide(engine.policies, backend.target, report, findings, world, now=asked)
        surroundings.decided(backend.target, decisions, now=asked)
    return [
        one
        for name in names
        for one in explain(
            engine.policies,
            engine.backends[name].target,
            engine.fleet.report(name),
            surroundings,
            max_mode=max_mode,
            ledger_ok=ledger_ok,
            now=asked,
        )
    ]


@contextmanager
def _without_trace(
    configuration: Configuration,
) -> Iterator[tuple[Configuration, tuple[str, ...]]]:
    """The same configuration; a ledger that is not there yet is an empty one, and is not made."""
    path = configuration.ledger_file
    if path is None or path.exists():
        yield configuration, ()
        return
    with TemporaryDirectory() as folder:
        storage = StorageSettings(url=f"sqlite:///{folder}/medic.db")
        settings = configuration.settings.model_copy(update={"storage": storage})
        note = f"There is no ledger at {path} yet: decided as with an empty one."
        yield replace(configuration, settings=settings), (note,)
