"""Messages on their way to webhooks: retried, bounded, redacted, escaped, and never waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.model.decision import Mode
from exporter.model.message import Delivery, Message, Receipt
from exporter.model.operation import Operation, Outcome, Phase, PolicyRef
from exporter.notify import Destination, Notifier, Patience, split_webhook
from exporter.notify.about import about_operation
from exporter.notify.bodies import to_json, to_slack
from exporter.transport import Transport
from tests.unit import hostile
from tests.unit.fakes import Clock, until
from tests.unit.policy_scenes import NOW

HIDDEN = "/services/T000/B000/sEcReT?sig=alsoSecret"
HELLO = Message(kind="notice", title="prod: lost services", facts={"target": "prod"})
DELIVERED, FAILED, DROPPED = Delivery.DELIVERED, Delivery.FAILED, Delivery.DROPPED


@dataclass
class Secret:
    """What a secret file holds, and what it will hold when it is read again."""

    value: str
    next: str = ""
    reads: int = 0

    def __call__(self) -> str:
        return self.value

    def refresh(self) -> None:
        self.reads += 1
        self.value = self.next or self.value


@dataclass
class Office:
    """A notifier over a real transport and a real socket, with time that only sleeping moves."""

    notifier: Notifier
    server: hostile.Server
    secret: Secret
    clock: Clock
    receipts: list[Receipt] = field(default_factory=list)

    async def tell(self, message: Message = HELLO) -> Receipt:
        (receipt,) = await self.notifier.deliver(["ops"], message)
        return receipt

    def texts(self) -> list[str]:
        return [json.loads(request.body)["text"] for request in self.server.requests]


async def hangs(_request: hostile.Request, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def answering(*statuses: int, headers: str = "", body: bytes = b"ok") -> hostile.Reply:
    """One after the other; the last one for ever."""
    left = list(statuses)

    async def reply(_request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        writer.write(head.encode() + body)

    return reply


@asynccontextmanager
async def office(reply: hostile.Reply, **patience: Any) -> AsyncIterator[Office]:
    clock, receipts = Clock(), list[Receipt]()
    async with hostile.serving(reply) as server, Transport() as transport:
        secret = Secret(server.url + HIDDEN)
        notifier = Notifier(
            transport=transport,
            on_receipt=receipts.append,
            patience=replace(Patience(), **patience),
            clock=clock.monotonic,
            sleep=clock.sleep,
        )
        notifier.configure({"ops": Destination(secret)})
        yield Office(notifier, server, secret, clock, receipts)
        await notifier.close(0.1)


# On the way


async def test_a_message_is_posted_once_as_json() -> None:
    """To the whole URL, its query included; and what became of it is told."""
    async with office(answering(200)) as found:
        assert await found.tell() == Receipt("ops", DELIVERED)
        (request,) = found.server.requests
    assert (request.method, request.path) == ("POST", HIDDEN)
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"text": "*prod: lost services*\n• target: prod"}
    assert found.receipts == [Receipt("ops", DELIVERED)]


async def test_what_fails_is_tried_again_after_growing_waits() -> None:
    """Each wait is twice the one before, up to the longest, until it is taken."""
    longest = timedelta(seconds=5)
    async with office(answering(500, 503, 408, 429, 502, 200), longest_wait=longest) as found:
        assert (await found.tell()).delivery is DELIVERED
    assert found.clock.slept == [1, 2, 4, 5, 5]
    assert len(found.server.requests) == 6


async def test_retry_after_is_honoured_when_it_is_longer() -> None:
    """A shorter one does not make us hurry."""
    async with office(answering(429, 429, 429, 200, headers="retry-after: 3\r\n")) as found:
        assert (await found.tell()).delivery is DELIVERED
    assert found.clock.slept == [3, 3, 4]


async def test_tries_are_bounded_in_number() -> None:
    """Then the message is given up, and said to be."""
    async with office(answering(500), tries=4) as found:
        receipt = await found.tell()
    assert (receipt.delivery, receipt.detail) == (
        FAILED,
        "given up after 4 tries; last: answered 500",
    )
    assert len(found.server.requests) == 4


async def test_tries_are_bounded_in_time() -> None:
    """A wait that would outlast the message's age is not begun; the next message has its own."""
    async with office(answering(503, headers="retry-after: 3000\r\n")) as found:
        assert (await found.tell()).delivery is FAILED
    assert found.clock.slept == []


async def test_what_waited_too_long_for_its_turn_is_not_sent() -> None:
    """News of yesterday helps nobody; what is younger goes on."""
    taking, at_once = asyncio.Event(), answering(200)

    async def slow(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        await taking.wait()
        await at_once(request, writer)

    async with office(slow, age=timedelta(seconds=10)) as found:
        found.notifier.send(["ops"], replace(HELLO, title="first"))
        second = asyncio.ensure_future(found.tell(replace(HELLO, title="second")))
        await until(lambda: len(found.server.requests) == 1)
        found.clock.advance(10.5)
        taking.set()
        late = await second
        assert (late.delivery, late.detail) == (FAILED, "it had waited too long for its turn")
        assert (await found.tell(replace(HELLO, title="third"))).delivery is DELIVERED
    assert [text.partition("\n")[0] for text in found.texts()] == ["*first*", "*third*"]


@pytest.mark.parametrize("status", [302, 400, 413, 422])
async def test_what_is_refused_for_good_is_not_tried_again(status: int) -> None:
    """The same body would be refused again, and others are waiting."""
    async with office(answering(status, 200)) as found:
        assert await found.tell() == Receipt("ops", FAILED, f"answered {status}")
        assert (await found.tell()).delivery is DELIVERED


async def test_what_was_taken_is_not_sent_again_because_its_answer_is_odd() -> None:
    """A success that says too much, or breaks off, is a success."""

    async def breaks_off(_request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok")
        await writer.drain()
        writer.close()

    for reply in (breaks_off, answering(200, body=b"x" * 100_000)):
        async with office(reply) as found:
            assert (await found.tell()).delivery is DELIVERED
            assert len(found.server.requests) == 1


async def test_the_oldest_makes_room_and_is_counted() -> None:
    """Sending never waits, whatever the webhook does."""
    async with office(hangs, queue=2) as found:
        for number in range(5):
            found.notifier.send(["ops"], replace(HELLO, title=str(number)))
            await until(lambda: len(found.server.requests) == 1)  # the first is on its way
        dropped = [r.detail for r in found.receipts]
        assert dropped == ["too many messages are waiting"] * 2
    assert len(found.receipts) == 5, "each message has its end"


async def test_a_notifier_that_hangs_delays_no_other() -> None:
    """Each has a queue and a task of its own."""
    async with office(hangs) as found, hostile.serving(answering(200)) as other:
        both = {"ops": Destination(found.secret), "night": Destination(Secret(other.url), "json")}
        found.notifier.configure(both)
        slow = asyncio.ensure_future(found.notifier.deliver(None, HELLO))
        await until(lambda: found.receipts == [Receipt("night", DELIVERED)])
        assert not slow.done()


async def test_closing_takes_only_so_long_and_loses_nothing_silently() -> None:
    """What is left is dropped and counted, and so is what comes later."""
    async with office(hangs) as found:
        found.notifier.send(["ops"], HELLO)
        waiting = asyncio.ensure_future(found.tell())
        await until(lambda: len(found.server.requests) == 1)
        async with asyncio.timeout(2):
            await found.notifier.close(0.05)
        assert (await waiting).delivery is DROPPED
        assert (await found.tell()).delivery is DROPPED
        assert [r.delivery for r in found.receipts] == [DROPPED] * 3


async def test_who_stops_does_not_wait_for_the_next_try() -> None:
    """What waits for its next try has it at once, and it is the last."""
    tried = asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        tried.set()
        await asyncio.Event().wait()

    async with office(answering(500, 200, 500)) as found, Transport() as transport:
        notifier = Notifier(transport=transport, sleep=for_ever)
        notifier.configure({"ops": Destination(found.secret)})
        waiting = asyncio.ensure_future(notifier.deliver(["ops"], HELLO))
        await tried.wait()
        notifier.hurry()
        assert await waiting == (Receipt("ops", DELIVERED),)
        (late,) = await notifier.deliver(["ops"], HELLO)
        assert late == Receipt("ops", DROPPED, "the daemon stopped; last: answered 500")


async def test_a_notifier_that_is_gone_is_said_to_be() -> None:
    """A reload may take one away while a policy's operation is about to tell it."""
    async with office(answering(200)) as found:
        found.notifier.configure({})
        assert await found.tell() == Receipt("ops", DROPPED, "no notifier has this name")
        assert await found.notifier.deliver(None, HELLO) == ()
        assert await found.notifier.deliver([], HELLO) == ()


async def test_a_reload_keeps_what_waits_and_sends_it_to_the_new_place() -> None:
    """Nothing that waits is lost because a secret was rotated."""
    async with office(answering(500)) as found, hostile.serving(answering(200)) as other:
        moved = asyncio.Event()

        async def until_moved(_seconds: float) -> None:
            await moved.wait()

        async with Transport() as transport:
            notifier = Notifier(transport=transport, sleep=until_moved)
            notifier.configure({"ops": Destination(found.secret)})
            waiting = asyncio.ensure_future(notifier.deliver(["ops"], HELLO))
            await until(lambda: len(found.server.requests) == 1)
            notifier.configure({"ops": Destination(Secret(other.url))})
            moved.set()
            assert await waiting == (Receipt("ops", DELIVERED),)


# Secrets


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_who_is_turned_away_reads_the_secret_again(status: int) -> None:
    """A rotated one is used at once; one that is not waits like any other failure."""
    async with office(answering(status, status, 200)) as found:
        found.secret.next = f"{found.server.url}/new"
        assert (await found.tell()).delivery is DELIVERED
        assert [request.path for request in found.server.requests] == [HIDDEN, "/new", "/new"]
    assert found.secret.reads == 2
    assert found.clock.slept == [0, 2]


async def test_the_url_is_in_no_log_receipt_or_error() -> None:
    """Not even when the other side repeats it, is not there, or the secret is no URL at all."""
    echo = answering(404, headers="content-type: text/plain\r\n", body=f"no {HIDDEN}".encode())
    with capture_logs() as logs:
        async with office(echo, tries=2) as found:
            await found.tell()
            for broken in ("http://127.0.0.1:1" + HIDDEN, f"ftp://x{HIDDEN}", f"http://[{HIDDEN}"):
                found.secret.value = broken
                assert (await found.tell()).delivery is FAILED
            shown = [*map(str, found.receipts), *map(repr, found.receipts)]
    assert len(found.receipts) == 4
    text = json.dumps([logs, shown], default=str)
    assert "ecret" not in text.replace("the webhook's secret", "")
    assert "T000" not in text


@pytest.mark.parametrize("url", ["", "hooks", "ftp://h/x", "http://", "http://[::1", "http://h:0/"])
def test_what_is_no_webhook_is_refused_without_being_repeated(url: str) -> None:
    """The sentence is the same whatever it was."""
    with pytest.raises(ValueError, match=r"^the webhook's secret is not an http\(s\) URL$"):
        split_webhook(url)


# What is said


def test_nothing_in_a_slack_message_is_a_link_a_mention_or_a_command() -> None:
    """Texts come from services and their errors."""
    nasty = "<!channel> & <https://evil|here> @Channel @here"
    text = to_slack(Message(kind="notice", title=nasty, text=nasty, facts={nasty: nasty}))["text"]
    assert "<" not in text
    assert ">" not in text
    assert "&lt;!channel&gt; &amp; &lt;https" in text
    assert "@Channel" not in text
    assert "@here" not in text
    assert to_json(replace(HELLO, title="a < b & c"))["title"] == "a < b & c"


def test_secrets_and_control_characters_are_taken_out_of_every_part() -> None:
    """As everywhere else; and no cut leaves the beginning of one."""
    token = "key_0123456789abcdef"
    nasty = f"http://user:pw@h/ Bearer {token} \x1b[31m\u202e\ud800"
    long = "x" * 194 + " " + token
    message = Message(kind="notice", title=long, text=nasty, facts={"error": nasty})
    for body in (to_slack(message), to_json(message)):
        text = json.dumps(body, ensure_ascii=False)
        text.encode()
        assert "key_" not in text
        assert "pw" not in text
        assert "REDACTED@h" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


@given(
    title=st.text(max_size=5000),
    text=st.text(max_size=20_000),
    facts=st.dictionaries(st.text(max_size=500), st.text(max_size=2000), max_size=40),
)
def test_a_message_is_bounded_and_always_json(title: str, text: str, facts: dict[str, str]) -> None:
    """Whatever is said, a receiver can read it, and its title is one line."""
    message = Message(kind="notice", title=title, text=text, facts=facts)
    for body in (to_slack(message), to_json(message)):
        raw = json.dumps(body, ensure_ascii=False).encode()
        assert len(raw) < 200_000
    assert "\n" not in to_json(message)["title"]
    assert len(to_json(message)["text"]) <= 2500


def ended(outcome: Outcome, **more: Any) -> Operation:
    row = Operation(
        id="01K9",
        target="prod",
        remedy="force-redeploy",
        source="policy",
        actor="policy:heal",
        mode=Mode.ENFORCE,
        phase=Phase.CLOSED,
        created_at=NOW,
        arguments={},
        policy=PolicyRef("heal", "abc"),
        values={"item.missing": ["Billing"], "item.token": "geheim"},
        summary="register http://w1:9080/ again",
        outcome=outcome,
    )
    return replace(row, **more)


def test_an_operation_is_told_with_what_was_wrong_done_and_became_of_it() -> None:
    """And with what one looks it up by."""
    message = about_operation(ended(Outcome.PARTIAL, error="outside_window: only by night"))
    assert message is not None
    assert message.title == "prod: force-redeploy was done in part"
    assert message.text.splitlines() == [
        'Seen: item.missing = ["Billing"]',
        'Seen: item.token = "REDACTED"',
        "Done: register http://w1:9080/ again",
        "Held or failed: outside_window: only by night",
    ]
    assert dict(message.facts) == {
        "target": "prod",
        "policy": "heal",
        "outcome": "partial",
        "operation": "01K9",
    }


def test_only_what_did_something_is_told() -> None:
    """Rehearsals, refusals and what found nothing to do are in the ledger, and wake nobody."""
    told = {o for o in Outcome if about_operation(ended(o)) is not None}
    assert {str(o) for o in told} == {
        "verified",
        "unverified",
        "partial",
        "failed",
        "indeterminate",
        "interrupted",
    }


def test_what_was_approved_and_is_not_done_is_told() -> None:
    """Who said yes counts on it; who said nothing need not hear that a plan is over."""
    approved = {
        o: about_operation(replace(ended(o, error="changed: …"), approved_by="mira"))
        for o in (Outcome.REFUSED, Outcome.EXPIRED, Outcome.WITHDRAWN, Outcome.REJECTED)
    }
    titles = {o: None if m is None else m.title for o, m in approved.items()}
    assert titles == {
        Outcome.REFUSED: "prod: force-redeploy was approved and is refused",
        Outcome.EXPIRED: "prod: force-redeploy was approved and is not done:"
        " nobody began it in time",
        Outcome.WITHDRAWN: "prod: force-redeploy was approved and is not needed any more",
        Outcome.REJECTED: None,
    }
    refused = approved[Outcome.REFUSED]
    assert refused is not None
    assert "Planned: register http://w1:9080/ again" in refused.text


def test_many_and_long_values_are_cut() -> None:
    """A batch of a hundred items must not fill a screen."""
    values = {f"item.{n}": ["x" * 1000] for n in range(40)}
    message = about_operation(ended(Outcome.VERIFIED, values=values))
    assert message is not None
    lines: Iterable[str] = message.text.splitlines()
    assert "and 28 values more" in lines
    assert max(map(len, lines)) < 400
    assert all(a != b for a, b in pairwise(lines))
