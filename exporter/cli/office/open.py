"""Opens the office that a command names: the daemon at ``--url``, or this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.app.open import open_engine
from exporter.cli.office.here import DeedsHere, OrdersHere
from exporter.cli.office.office import Deeds, Orders, Where
from exporter.cli.office.there import There
from exporter.cli.orders import open_ledger
from exporter.model.errors import ConfigurationError
from exporter.operator_api.control import ControlApi
from exporter.settings.load import KEY_VARIABLE, load
from exporter.settings.secrets import SecretRef, TokenSource
from exporter.transport import Transport

_KEY_IS_NEEDED = f"a key is needed: write --key-file FILE, or put it into {KEY_VARIABLE}"


@asynccontextmanager
async def open_deeds(where: Where, *, only_plan: bool) -> AsyncIterator[Deeds]:
    """Who shows and carries out plans; ``only_plan`` needs no ledger."""
    if where.url is not None:
        async with open_there(where) as there:
            yield there
        return
    configuration = load(where.config_file)
    async with open_engine(configuration, with_ledger=not only_plan, with_policies=False) as engine:
        yield DeedsHere(engine)


@asynccontextmanager
async def open_orders(where: Where) -> AsyncIterator[Orders]:
    """Who takes orders and lists them."""
    if where.url is not None:
        async with open_there(where) as there:
            yield there
        return
    configuration = load(where.config_file)
    async with open_ledger(configuration) as ledger:
        yield OrdersHere(configuration, ledger)


@asynccontextmanager
async def open_there(where: Where) -> AsyncIterator[There]:
    """The daemon at a URL. ConfigurationError when the URL or the key cannot be used."""
    async with Transport() as transport:
        yield There(
            ControlApi(transport, url=str(where.url), key=_key(where), without_key=_KEY_IS_NEEDED)
        )


def _key(where: Where) -> TokenSource | None:
    """The key of a file, else of the environment; reading may need none."""
    if where.key_file is not None:
        ref = SecretRef(file=where.key_file)
    else:
        ref = SecretRef(env=KEY_VARIABLE)
    try:
        ref.read()
    except ValueError as error:
        if where.key_file is None:
            return None
        raise ConfigurationError([str(error)]) from error
    return TokenSource(ref)
