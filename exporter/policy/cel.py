"""Conditions in CEL: compiled once against the catalogue, evaluated without surprises.

How a compiler's complaint becomes a sentence for a person is in ``cel_errors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from cel_expr_python import cel

from exporter.model.component import Component
from exporter.model.variables import ITEM_KINDS, VARIABLES, ValueType, Variable
from exporter.policy.cel_errors import Complaint, ConditionError, bad_literals, explain
from exporter.policy.references import referenced_names

_TYPES = MappingProxyType(
    {
        ValueType.STRING: cel.Type.STRING,
        ValueType.INT: cel.Type.INT,
        ValueType.BOOL: cel.Type.BOOL,
        ValueType.DURATION: cel.Type.DURATION,
        ValueType.STRINGS: cel.Type.List(cel.Type.STRING),
        ValueType.LABELS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
)
REACHABLE = "item.reachable"
"""Always bound, but only said of what the drift component has discovered."""
_UNBOUND = "UNKNOWN: No value with name "


@dataclass(frozen=True, slots=True)
class Condition:
    """A ``when`` that compiled: its text, what it reads, and the program."""

    source: str
    for_each: str | None
    names: tuple[str, ...]
    """The variables it refers to, sorted: exactly those, whether evaluation reaches them or not."""
    components: frozenset[Component]
    """What those variables are read from, and what lists its items."""
    program: Any = field(default=None, compare=False, repr=False)

    @property
    def uses(self) -> frozenset[str]:
        """The names of the variables it refers to."""
        return frozenset(self.names)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The condition cannot be decided without these, which have no value now."""

    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Evaluation went wrong: a missing map key, a division by zero, a loop without end."""

    message: str


Outcome = Literal[True, False] | Unknown | Failed


def variables_of(for_each: str | None) -> tuple[Variable, ...]:
    """The variables a condition may name: the target's, and those of the items it runs over."""
    return VARIABLES + (ITEM_KINDS[for_each].fields if for_each else ())


@cache
def _env(for_each: str | None) -> Any:  # noqa: ANN401 - the library has no types
    return cel.NewEnv(variables={v.name: _TYPES[v.type] for v in variables_of(for_each)})


def compile_condition(source: str, for_each: str | None = None) -> Condition:
    """Compile a ``when``. ConditionError lists what is wrong, each with its offset and the mend."""
    try:
        program = _env(for_each).compile(source)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConditionError(explain(source, str(error), for_each)) from error
    if program.return_type() != cel.Type.BOOL:
        raise ConditionError([_not_a_bool(source, program.return_type().name())])
    if complaints := bad_literals(source, lambda text: _error_of(_env(None).compile(text), {})):
        raise ConditionError(complaints)
    named = referenced_names(program.serialize())
    variables = [v for v in variables_of(for_each) if v.name in named]
    words = {c for v in variables if (c := _spoken_of(v)) is not None}
    listed = ITEM_KINDS[for_each].components if for_each else frozenset()
    components = listed.union(words, *(v.components for v in variables))
    if not components:
        message = (
            "reads nothing that is probed, so it could never be seen to heal; "
            "name a variable of a component, such as services.missing or ingress.status"
        )
        raise ConditionError([Complaint(0, message)])
    return Condition(
        source=source,
        for_each=for_each,
        names=tuple(sorted(v.name for v in variables)),
        components=components,
        program=program,
    )


def _spoken_of(variable: Variable) -> Component | None:
    """The component that an always-bound variable speaks of: ``ingress.status`` of the ingress."""
    if variable.name == REACHABLE:
        return Component.DRIFT
    first, _, _ = variable.name.partition(".")
    return Component(first) if not variable.components and first in list(Component) else None


def _not_a_bool(source: str, name: str) -> Complaint:
    hint = {
        "INT": f"compare it, as in {source.strip()} > 0",
        "LIST<STRING>": f"ask for its size, as in size({source.strip()}) > 0",
        "STRING": f'compare it, as in {source.strip()} == "ok"',
        "DURATION": f'compare it, as in {source.strip()} > duration("5m")',
    }.get(name, "write a comparison")
    short = source.strip()
    if len(short) > 60:  # noqa: PLR2004 - what still fits into a sentence
        hint = "write a comparison"
    return Complaint(0, f"gives {name.lower()}, not true or false; {hint}")


def bind(for_each: str | None, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - no types
    """Values as CEL takes them, for many evaluations with the same ones."""
    return _env(for_each).Activation(values)


def evaluate(condition: Condition, values: Mapping[str, Any]) -> Outcome:
    """Decide a condition on these values; a variable that is absent is unknown.

    CEL decides ``false && unknown`` to false and ``true || unknown`` to true.
    """
    return evaluate_bound(condition, values, bind(condition.for_each, values))


def evaluate_bound(
    condition: Condition,
    values: Mapping[str, Any],
    bound: Any,  # noqa: ANN401 - no types
) -> Outcome:
    """Decide a condition on values that are bound already.

    An error comes back as a value whose text is truthy, so only the two booleans themselves count
    as an answer; some errors are raised instead.
    """
    try:
        answer = condition.program.eval(bound).value()
    except (RuntimeError, ValueError, TypeError) as error:
        return Failed(_first_line(str(error)))
    if answer is True or answer is False:
        return answer
    if isinstance(answer, str) and answer.startswith(_UNBOUND):
        return Unknown(tuple(name for name in condition.names if name not in values))
    return Failed(_first_line(str(answer)))


def _error_of(program: Any, values: Mapping[str, Any]) -> str | None:  # noqa: ANN401 - no types
    """The runtime error of a program, if it has one."""
    try:
        value = program.eval(data=values)
    except RuntimeError as error:
        return _first_line(str(error))
    return _first_line(str(value.value())) if value.type() == cel.Type.ERROR else None


def _first_line(message: str) -> str:
    """An error without its code: ``NOT_FOUND: Key not found`` says ``Key not found``."""
    line = message.strip().splitlines()[0] if message.strip() else "no message"
    code, colon, rest = line.partition(": ")
    return rest if colon and code.isupper() else line
