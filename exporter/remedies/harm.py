"""What a registration would break, or not help: each a refusal with its reason.

The server protects nothing here (restate-facts, Deployments). A person may insist on most of it by
naming it, which the plan records; a policy never may.
"""

from __future__ import annotations

from exporter.model.errors import RefusedError
from exporter.model.operation import Request
from exporter.model.target import is_placeholder
from exporter.remedies.look import Look
from exporter.remedies.registered import shown
from exporter.remedies.remedy import RemedyContext, TargetContext


def refuse_url(url: str, context: TargetContext, request: Request) -> None:
    """Refuse a URL that no request may register, or that a policy may not."""
    if is_placeholder(url):
        raise RefusedError("placeholder-url", f"{shown(url)} is a placeholder")
    listed = {w.url for w in context.target.workers} | context.allowed_urls
    if not request.by_person and url not in listed:
        msg = f"{shown(url)} is neither a worker of the target nor in allowed_service_urls"
        raise RefusedError("unlisted-url", msg)


def refuse_harm(look: Look, request: Request) -> tuple[str, ...]:
    """Refuse what would hurt, unless a person named it; returns the overrides that were needed."""
    needed: list[str] = []
    for reason, message, override in _harms(look):
        if not (request.by_person and override in request.allow):
            raise RefusedError(reason, message, override=override)
        needed.append(override)
    return tuple(dict.fromkeys(needed))


def refuse_useless(look: Look, context: RemedyContext, request: Request) -> None:
    """A policy must not register for nothing, nor when what is missing is not offered at all."""
    url = shown(look.url)
    if look.known is not None and not look.drift.any:
        raise RefusedError("would-not-help", f"{url} offers exactly what is registered")
    worker = next((w for w in context.target.workers if w.url == look.url), None)
    if worker is None:
        return
    registered = {s.name for s in look.registered.services.items}
    missing = context.target.expected_of(worker) - registered
    asked = request.item_values.get("item.missing") or request.values.get("services.missing")
    if asked and missing and not missing & {s.name for s in look.offered}:
        msg = f"{url} does not offer {', '.join(sorted(missing))}"
        raise RefusedError("would-not-help", msg)


def _harms(look: Look) -> list[tuple[str, str, str]]:
    """Each harm as reason, sentence, and the word that allows it."""
    url, drift, found = shown(look.url), look.drift, []
    if look.strangers:
        found.append(("foreign", _foreign(look), "foreign"))
    if look.known is not None and (look.taken or not look.registered.latest(look.known)):
        services = ", ".join(sorted(look.taken)) or "its services"
        msg = f"{url} is not the latest deployment of {services}: it would pull traffic back"
        found.append(("not-latest", msg, "rollback"))
    if drift.dropped:
        msg = f"{url} no longer offers {', '.join(drift.dropped)}"
        found.append(("drop-service", msg, "drop-service"))
    if drift.type_changed or drift.changed:
        msg = f"{url} offers another type of {', '.join((*drift.type_changed, *drift.changed))}"
        found.append(("change-type", msg, "change-type"))
    return found


def _foreign(look: Look) -> str:
    url = shown(look.url)
    if look.known is not None and look.known.id in look.strangers:
        return f"{url} is a deployment that is not ours"
    theirs = sorted(name for name, holder in look.taken.items() if holder in look.strangers)
    return f"{url} would take {', '.join(theirs)} from a deployment that is not ours"
