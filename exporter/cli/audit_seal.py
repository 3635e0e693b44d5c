"""``restate-medic audit seal``: from now on, entries have a key."""

from __future__ import annotations

import asyncio

import typer

from exporter.cli.audit_verify import look_through
from exporter.cli.options import ConfigFile
from exporter.cli.orders import open_ledger
from exporter.cli.output import Exit, fail, friendly, out
from exporter.ledger.gateway import Ledger
from exporter.settings.load import Configuration, load

_NO_KEY = (
    "there is no key: write storage: {hmac_key: {file: PATH}} into the configuration"
    " (openssl rand -hex 32 makes one)"
)


@friendly
def seal(*, config_file: ConfigFile = None) -> None:
    """Begin to write a ledger with the key of storage.hmac_key, which it had none of before.

    Checks first that the ledger is as it was written: what was written anew before now cannot be
    told any more afterwards. A new ledger begins with its key by itself, and needs no sealing.
    """
    configuration = load(config_file)
    keys = configuration.ledger_keys
    if keys.current is None:
        fail(_NO_KEY, Exit.USAGE)
    sealed = asyncio.run(_seal(configuration))
    told = "from now on entries have" if sealed else "entries have already"
    out.print(f"{told} key {keys.current.id}")


async def _seal(configuration: Configuration) -> bool:
    async with open_ledger(configuration, standing=False) as ledger:
        if await ledger.key_id() is None:
            await _check(configuration)
        return await ledger.seal()


async def _check(configuration: Configuration) -> None:
    plain = Ledger(configuration.storage_url)
    try:
        found = await look_through(plain, None)
    finally:
        await plain.close()
    if found.flaw is not None:
        out.print(str(found.flaw), markup=False, soft_wrap=True)
        raise typer.Exit(int(Exit.UNHEALTHY))
