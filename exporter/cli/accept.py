"""``restate-medic accept``: a target is another Restate now, or was wiped, and that is right."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from exporter.app.open import open_engine
from exporter.cli.options import ConfigFile, Yes
from exporter.cli.orders import Reason, actor, known
from exporter.cli.output import Exit, fail, friendly, out
from exporter.model.component import Component
from exporter.model.identity import Identity, differs, identity_of, merged
from exporter.settings.load import Configuration, load


@friendly
def accept(
    target: Annotated[str, typer.Argument(help="The target that policies hold.", metavar="TARGET")],
    *,
    yes: Yes = False,
    reason: Reason = "",
    config_file: ConfigFile = None,
) -> None:
    """Accept what a target is now, after policies held because it looks like another Restate.

    That is so when none of its known deployments is registered any more (it was wiped, or restored
    from an old copy), or when its cluster has another name (its URLs lead elsewhere).
    """
    configuration = load(config_file)
    known("target", target, (t.name for t in configuration.targets))
    asyncio.run(_accept(configuration, target, reason, yes=yes))


async def _accept(configuration: Configuration, name: str, reason: str, *, yes: bool) -> None:
    async with open_engine(configuration) as engine:
        components = frozenset({Component.ADMIN, Component.DEPLOYMENTS})
        seen = identity_of(await engine.read(name, components), engine.now())
        if seen is None:
            fail(f"the deployments of {name} cannot be read: see doctor", Exit.UNREACHABLE)
        before = engine.ledger.standing.orders.identities.get(name)
        change = differs(before, seen) if before else None
        if change is None:
            out.print(escape(f"{name} is as it is known: there is nothing to accept"))
            return
        out.print(escape(f"{name}: {change}"))
        out.print(escape(f"now: {_described(seen)}"))
        if not yes and not typer.confirm("Is that right?", default=False, err=True):
            fail("nothing was accepted", Exit.UNHEALTHY)
        await engine.ledger.note_identity(
            name, merged(None, seen), now=engine.now(), accepted_by=actor(), reason=reason
        )
        out.print(escape(f"accepted: policies may act on {name} again"))


def _described(identity: Identity) -> str:
    count = len(identity.deployments)
    cluster = f"cluster {identity.cluster}, " if identity.cluster else ""
    return f"{cluster}{count} deployment{'' if count == 1 else 's'}"
