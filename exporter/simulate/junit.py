"""What came of tests, as the JUnit XML that build servers read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from exporter.simulate.judge import Difference
from exporter.simulate.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test, what differs in it, and how long it took to play."""

    scenario: Scenario
    differences: tuple[Difference, ...]
    seconds: float


def junit(verdicts: Sequence[Verdict], problems: Sequence[str] = ()) -> str:
    """A document; each problem of a file is an error of its own."""
    failed = sum(bool(one.differences) for one in verdicts)
    root = ET.Element(
        "testsuite",
        name="restate-medic policy test",
        tests=str(len(verdicts) + len(problems)),
        failures=str(failed),
        errors=str(len(problems)),
        time=f"{sum(one.seconds for one in verdicts):.3f}",
    )
    for one in verdicts:
        case = _case(root, one.scenario.file, one.scenario.name, one.seconds)
        if one.differences:
            first = one.differences[0]
            message = f"{first.about}: expected {first.expected}, found {first.found}"
            ET.SubElement(case, "failure", message=plain(message)).text = plain(
                "\n".join(told(difference) for difference in one.differences)
            )
    for problem in problems:
        file, _, _ = problem.partition(":")
        ET.SubElement(_case(root, file, "can be read", 0), "error", message=plain(problem))
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def told(difference: Difference) -> str:
    """A difference in three lines."""
    return (
        f"{difference.place}: {difference.about}\n"
        f"  expected  {difference.expected}\n"
        f"  found     {difference.found}"
    )


def _case(root: ET.Element, file: str, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(
        root, "testcase", classname=plain(file), name=plain(name), time=f"{seconds:.3f}"
    )


def plain(text: str) -> str:
    """Without what XML cannot hold, and a terminal should not get."""
    return "".join(c if c in "\t\n" or (c >= " " and c.isprintable()) else "?" for c in text)
