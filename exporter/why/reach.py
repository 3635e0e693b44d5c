"""The first links: ingress, admin API, registration, endpoint, and what the worker offers now."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.model.component import Component, Reason, Status
from exporter.model.drift import Drift, compare
from exporter.model.redact import redact_text
from exporter.model.target import normalise_url
from exporter.model.token import admin_refusal, ingress_refusal
from exporter.model.views import Discovery
from exporter.policy.words import did_you_mean, listing
from exporter.why.facts import Facts
from exporter.why.verdict import Link, LinkState

_ENDPOINT, _WORKER = "endpoint", "worker"


def reach_links(facts: Facts) -> Iterator[Link]:
    """Yield the links up to the worker; lazily, so that nothing after a broken one is judged."""
    yield _door(facts, Component.INGRESS, "answers")
    admin = facts.findings.admin
    yield _door(facts, Component.ADMIN, f"answers, Restate {admin.version}" if admin else "answers")
    yield _registration(facts)
    if facts.findings.deployments is None:
        yield Link("deployments", LinkState.UNKNOWN, facts.failure(Component.DEPLOYMENTS))
    if facts.registered is not None:
        yield _endpoint(facts, facts.registered.deployment_id)
        yield _worker(facts, facts.registered.deployment_id)


def _door(facts: Facts, component: Component, answers: str) -> Link:
    """Ingress or admin API. A token that is refused is not a server that is down."""
    name, reading = str(component), facts.reading(component)
    if reading is None:
        return Link(name, LinkState.UNKNOWN, "it was not read")
    if reading.status is Status.OK:
        return Link(name, LinkState.OK, answers)
    command = ("doctor",)
    if reading.reason is Reason.UNAUTHORIZED:
        why = (
            ingress_refusal(facts.tokens.ingress)
            if component is Component.INGRESS
            else admin_refusal(facts.tokens, facts.now)
        )
        says = f"is up, and refuses the token: {reading.error}"
        return Link(name, LinkState.BROKEN, says, f"{why}. Then look again:", command)
    if reading.reason is Reason.THROTTLED:
        return Link(name, LinkState.UNKNOWN, f"asks for patience: {reading.error}")
    if reading.status is Status.UNREACHABLE:
        says = f"is unreachable ({reading.reason}): {reading.error}"
        advice = f"Start it, or mend {name}_url or the network in between. Then look again:"
        return Link(name, LinkState.BROKEN, says, advice, command, unreachable=True)
    says = f"answers, but wrongly ({reading.reason}): {reading.error}"
    return Link(name, LinkState.BROKEN, says, f"Is {name}_url right? Then look again:", command)


def _registration(facts: Facts) -> Link:
    name, service = "registered", facts.registered
    if facts.findings.services is None:
        return Link(name, LinkState.UNKNOWN, facts.failure(Component.SERVICES))
    if service is None:
        return _not_registered(facts)
    exposed = facts.exposed
    if service.public and exposed is not None and facts.service not in exposed:
        says = f"{facts.service} is registered, but the ingress does not list it"
        advice = "Its view is seconds behind at most. Look again:"
        return Link(name, LinkState.BROKEN, says, advice, facts.again)
    where = redact_text(facts.url_of(service.deployment_id))
    private = "" if service.public else "; it is private, so the ingress refuses calls to it"
    kind = service.shape.type
    says = f"{facts.service}, {'an' if kind == 'object' else 'a'} {kind}, at {where}{private}"
    return Link(name, LinkState.OK, says)


def _not_registered(facts: Facts) -> Link:
    name, missing = "registered", f"{facts.service} is not registered, so callers get a 404"
    workers = facts.findings.workers
    if offering := facts.offering():
        url = redact_text(offering[0].url)
        advice = f"{url} offers it: register that worker again."
        command = _redeploy(facts, offering[0].url)
        return Link(name, LinkState.BROKEN, missing, advice, command)
    known = [s.name for s in facts.findings.services.items] if facts.findings.services else []
    hint = did_you_mean(facts.service, known)
    if not workers:
        advice = "No worker is configured for this target. Register the one that has it:"
        return Link(name, LinkState.BROKEN, missing + hint, advice, ("redeploy", "URL"))
    silent = [worker for worker in workers if worker.reachable != "yes"]
    if silent:
        one = silent[0]
        how = "does not answer" if one.reachable == "no" else "could not be asked"
        advice = f"Its worker may be {redact_text(one.url)}, which {how}: {one.error or 'unknown'}"
        command = _redeploy(facts, one.url)
        return Link(name, LinkState.BROKEN, missing + hint, f"{advice}. Once it does:", command)
    urls = listing(redact_text(worker.url) for worker in workers)
    advice = f"No worker offers it ({urls}): check the name, or roll one out that does. Then:"
    return Link(name, LinkState.BROKEN, missing + hint, advice, facts.again)


def _endpoint(facts: Facts, deployment_id: str) -> Link:
    found, unknown = _asked(facts, deployment_id, _ENDPOINT)
    if found is None:
        return unknown
    url = redact_text(found.url)
    if found.reachable == "yes":
        return Link(_ENDPOINT, LinkState.OK, f"{url} answers a discovery")
    if found.reachable == "unknown":
        says = f"whether {url} answers could not be found out: {found.error}"
        return Link(_ENDPOINT, LinkState.UNKNOWN, says)
    dead = f"{url} does not answer a discovery: {found.error}"
    if elsewhere := facts.offering():
        advice = f"{redact_text(elsewhere[0].url)} offers {facts.service}: register it."
        command = _redeploy(facts, elsewhere[0].url)
        return Link(_ENDPOINT, LinkState.BROKEN, dead, advice, command)
    advice = "Start the worker; Restate tries again by itself. Then look again:"
    return Link(_ENDPOINT, LinkState.BROKEN, dead, advice, facts.again)


def _worker(facts: Facts, deployment_id: str) -> Link:
    """Whether what answers is still what is registered, as far as this service goes."""
    newer = [d for d in facts.offering() if d.deployment_id is None]
    if newer:
        url = redact_text(newer[0].url)
        says = f"{url} offers {facts.service} and is not registered: calls go elsewhere"
        command = _redeploy(facts, newer[0].url)
        return Link(_WORKER, LinkState.BROKEN, says, "Register it:", command)
    found, unknown = _asked(facts, deployment_id, _WORKER)
    if found is None:
        return unknown
    if found.reachable != "yes":
        return Link(_WORKER, LinkState.UNKNOWN, "its endpoint told nothing to compare")
    drift = compare(found.discovered, found.registered)
    mine = _about(facts.service, drift)
    url = redact_text(found.url)
    if facts.service in mine.dropped:
        says = f"{url} does not offer {facts.service} any more, and calls to it fail"
        advice = "Roll out a worker that offers it. Then look again:"
        return Link(_WORKER, LinkState.BROKEN, says, advice, facts.again)
    if mine.any:
        says = f"{url} has changed since it was registered: {_changes(mine)}"
        command = _redeploy(facts, found.url)
        return Link(_WORKER, LinkState.BROKEN, says, "Register it again:", command)
    others = f"; other services of it have changed: {_changes(drift)}" if drift.any else ""
    return Link(_WORKER, LinkState.OK, f"offers what is registered{others}")


def _asked(facts: Facts, deployment_id: str, name: str) -> tuple[Discovery | None, Link]:
    """What the deployment's endpoint answered, or the link that says why nobody knows."""
    if facts.discoveries is None:
        return None, Link(name, LinkState.UNKNOWN, facts.failure(Component.DRIFT))
    found = facts.discovery(deployment_id)
    protected = any(
        d.id == deployment_id and d.owner == "protected" for d in facts.findings.deployments or ()
    )
    if found is None and protected:
        says = "the deployment is protected, so its endpoint is left alone"
        return None, Link(name, LinkState.NOT_ASKED, says)
    return found, Link(name, LinkState.UNKNOWN, f"deployment {deployment_id} was not discovered")


def _about(service: str, drift: Drift) -> Drift:
    def mine(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name.partition("/")[0] == service)

    return Drift(
        mine(drift.added), mine(drift.dropped), mine(drift.changed), mine(drift.type_changed)
    )


def _changes(drift: Drift) -> str:
    named = (
        ("new", drift.added),
        ("gone", drift.dropped),
        ("of another kind", (*drift.changed, *drift.type_changed)),
    )
    return "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in named if names)


def _redeploy(facts: Facts, url: str) -> tuple[str, ...]:
    """Register this worker again; the only worker's URL need not be named (it may be secret)."""
    if [worker.url for worker in facts.target.workers] == [normalise_url(url)]:
        return ("redeploy",)
    return ("redeploy", redact_text(url))
