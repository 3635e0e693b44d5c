"""Why a service or a key does not run: the chain from the ingress to the invocation, link by link.

Pure: ``judge`` takes what was read and returns a verdict; reading is for the caller. The chain ends
at the first broken link, with what mends it. What could not be read is a link of its own state.
"""

from __future__ import annotations

from exporter.why.calls import work_links
from exporter.why.facts import Facts
from exporter.why.reach import reach_links
from exporter.why.verdict import Link, LinkState, Verdict

__all__ = ["Facts", "Link", "LinkState", "Verdict", "judge"]


def judge(facts: Facts) -> Verdict:
    """Walk the chain until a link is broken."""
    links: list[Link] = []
    for part in (reach_links, work_links):
        for link in part(facts):
            links.append(link)
            if link.state is LinkState.BROKEN:
                return Verdict(facts.service, facts.key, facts.target.name, tuple(links))
    return Verdict(facts.service, facts.key, facts.target.name, tuple(links))
