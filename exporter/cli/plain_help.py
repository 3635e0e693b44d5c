"""Help that shows what a person writes, and no Python types.

Typer tells the type of every flag (``<bool>``) and argument (``<list[str]>``) and puts what is
required into braces; beside names in capitals neither says anything. It makes commands and
parameters itself and takes no class of ours for all of them, hence their classes are set here.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


class _Argument(TyperArgument):
    """One that is shown by its name alone."""

    def display_type_rich(self, ctx: Any) -> str | None:  # noqa: ANN401, ARG002 - as it is called
        return None

    def get_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - as it is called
        name = self.display_name_raw + ("..." if self.nargs != 1 else "")
        return [name if self.required else f"[{name}]"]


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - a class Typer keeps to itself
        return [_plain(param) for param in super().get_params(ctx)]


class PlainGroup(TyperGroup):
    """A group whose help, and that of everything below it, is plain."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**settings)
        _make_plain(self)

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - a class Typer keeps to itself
        """The parameters, the help option included."""
        return [_plain(param) for param in super().get_params(ctx)]


def _make_plain(group: TyperGroup) -> None:
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            command.__class__ = PlainGroup
            _make_plain(command)
        else:
            command.__class__ = _Command


def _plain(param: Any) -> Any:  # noqa: ANN401 - a class Typer keeps to itself
    if isinstance(param, TyperArgument):
        param.__class__ = _Argument
    elif isinstance(param, TyperOption) and param.is_flag:
        param.metavar = ""
    return param
