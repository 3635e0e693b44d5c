"""What the transport promises about calls to servers that behave, and to those that do not."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import socket
import ssl
import subprocess
import time
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError, ConfigurationError
from exporter.transport import Answer, HttpClient, Transport, clean_text
from tests.unit import hostile

QUICK = timedelta(seconds=0.5)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as made:
        yield made


async def _failure(client: HttpClient, method: str = "GET", **options: object) -> CallFailedError:
    with pytest.raises(CallFailedError) as caught:
        await client.request(method, "/x", **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(hostile.hang, Reason.TIMEOUT, id="hang"),
        pytest.param(hostile.drip(b"{" * 1000), Reason.TIMEOUT, id="drip"),
        pytest.param(hostile.hang_up(), Reason.RESET, id="hang-up"),
        pytest.param(hostile.breaks_after(b"{", promised=100), Reason.RESET, id="short-body"),
        pytest.param(hostile.breaks_after(b"{"), Reason.RESET, id="breaks-mid-stream"),
        pytest.param(hostile.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Reason.PROTOCOL, id="ssh"),
        pytest.param(hostile.raw(b"\x00" * 100 + b"\r\n\r\n"), Reason.PROTOCOL, id="zeros"),
        pytest.param(
            hostile.raw(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}"),
            Reason.PROTOCOL,
            id="negative-length",
        ),
        pytest.param(
            hostile.raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n{}"),
            Reason.PROTOCOL,
            id="endless-header",
        ),
        pytest.param(hostile.answer(401), Reason.UNAUTHORIZED, id="401"),
        pytest.param(hostile.answer(403, "<html>", "text/html"), Reason.UNAUTHORIZED, id="403"),
        pytest.param(hostile.answer(404, "", "text/plain"), Reason.HTTP_STATUS, id="404"),
        pytest.param(hostile.answer(500, "<html>oh", "text/html"), Reason.HTTP_STATUS, id="500"),
        pytest.param(hostile.answer(503), Reason.THROTTLED, id="503"),
        pytest.param(hostile.answer(429), Reason.THROTTLED, id="429"),
        pytest.param(hostile.answer(302, location="/x"), Reason.HTTP_STATUS, id="redirect-loop"),
        pytest.param(hostile.answer(204, ""), Reason.HTTP_STATUS, id="204"),
        pytest.param(hostile.endless(200 * 1024 * 1024), Reason.TOO_LARGE, id="200MB"),
        pytest.param(
            hostile.endless(200 * 1024 * 1024, chunked=True), Reason.TOO_LARGE, id="200MB-chunked"
        ),
        pytest.param(
            hostile.answer(body=zlib.compress(b"0" * 10**7), content_encoding="deflate"),
            Reason.BAD_BODY,
            id="compressed-bomb",
        ),
    ],
)
async def test_every_bad_answer_has_its_reason(
    transport: Transport, reply: hostile.Reply, reason: Reason
) -> None:
    """Whatever a connected server does wrong is one CallFailedError with the right bounded reason,
    in bounded time, and it says that the request may have arrived."""
    async with hostile.serving(reply) as server:
        began = time.perf_counter()
        error = await _failure(transport.client(server.url, timeout=2 * QUICK, max_bytes=1_000_000))
    assert (error.reason, error.sent) == (reason, True)
    assert time.perf_counter() - began < 3
    assert str(error).startswith(f"GET {server.url}/x: ")
    assert len(server.requests) <= 2


async def test_a_huge_answer_does_not_fill_memory(transport: Transport) -> None:
    """A 200 MB answer costs little more memory than the cap."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with hostile.serving(hostile.endless(200 * 1024 * 1024)) as server:
        error = await _failure(transport.client(server.url, max_bytes=1_000_000))
    assert error.reason is Reason.TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


async def test_refused_was_never_sent(transport: Transport) -> None:
    """Nothing listening is `refused`, and a write that failed so has certainly not happened."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await _failure(
            transport.client(f"http://127.0.0.1:{unused.getsockname()[1]}"), "POST", json={}
        )
    assert (error.reason, error.sent, error.outcome_unknown) == (Reason.REFUSED, False, False)


async def test_unknown_host_is_dns(transport: Transport) -> None:
    """A name without an address is `dns`, and nothing was sent."""
    error = await _failure(transport.client("http://nowhere.invalid:8080"))
    assert (error.reason, error.sent) == (Reason.DNS, False)


async def test_connect_timeout_was_never_sent(transport: Transport) -> None:
    """A host that drops packets is `timeout`, and nothing was sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # fill the backlog: further SYNs are dropped
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            error = await _failure(transport.client(f"http://127.0.0.1:{port}", timeout=QUICK))
        finally:
            for filler in fillers:
                filler.close()
    assert (error.reason, error.sent) == (Reason.TIMEOUT, False)


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"]
    names = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([openssl, "req", *options, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


async def test_self_signed_certificate_is_tls(
    transport: Transport, self_signed: tuple[ssl.SSLContext, Path]
) -> None:
    """A certificate nobody vouches for is `tls`, says so, and nothing was sent; one that the
    given context trusts is fine."""
    tls, certificate = self_signed
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with hostile.serving(hostile.answer(), tls=tls) as server:
        error = await _failure(transport.client(server.url))
        async with Transport(ssl_context=trusting) as other:
            await other.client(server.url).request("GET", "/x")
    assert (error.reason, error.sent) == (Reason.TLS, False)
    assert "certificate is not trusted: self-signed certificate" in str(error)


@pytest.mark.parametrize("first_words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03"])
async def test_a_port_that_speaks_no_tls(transport: Transport, first_words: bytes) -> None:
    """https spoken to a plain port is a failure to connect: `tls`, or `reset` if it just hangs up;
    nothing was sent."""

    async with hostile.saying(first_words) as port:
        error = await _failure(transport.client(f"https://127.0.0.1:{port}"))
    assert error.reason in ({Reason.TLS} if len(first_words) > 2 else {Reason.TLS, Reason.RESET})
    assert not error.sent


async def test_a_tls_handshake_that_hangs_is_a_connect_timeout(transport: Transport) -> None:
    """A peer that accepts and never shakes hands is `timeout`, and nothing was sent."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await _failure(transport.client(f"https://127.0.0.1:{port}", timeout=QUICK))
    assert (error.reason, error.sent) == (Reason.TIMEOUT, False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 0), ("999999999999", 3600), ("soon", None), ("-3", None), ("", None)],
)
async def test_retry_after_in_seconds(
    transport: Transport, value: str, seconds: float | None
) -> None:
    """Retry-After is understood, bounded to an hour, and ignored when it makes no sense."""
    async with hostile.serving(hostile.answer(429, retry_after=value)) as server:
        error = await _failure(transport.client(server.url))
    assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_retry_after_as_a_date(transport: Transport) -> None:
    """Retry-After may be an HTTP date."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    async with hostile.serving(hostile.answer(503, retry_after=date)) as server:
        error = await _failure(transport.client(server.url))
    assert error.retry_after is not None
    assert timedelta(seconds=50) < error.retry_after <= timedelta(seconds=60)


async def test_the_remote_message_is_told_without_secrets(transport: Transport) -> None:
    """The server's own words and code reach the error, in one bounded line, scrubbed."""
    said = {
        "message": "bad\n\x1b[31m http://bob:hunter2@h/ with Bearer abc.def " + "x" * 999,
        "restate_code": "META0003",
    }
    async with hostile.serving(hostile.json_answer(said, 500)) as server:
        error = await _failure(transport.client(server.url))
    assert error.code == "META0003"
    assert "bad" in str(error)
    assert len(str(error)) < 400
    for secret in ("hunter2", "abc.def", "\n", "\x1b"):
        assert secret not in str(error)


async def test_user_info_is_basic_authorization_and_stays_unsaid(transport: Transport) -> None:
    """A base URL may carry user info and a path; both are used, and the user info is never told."""
    async with hostile.serving(hostile.answer(500)) as server:
        url = server.url.replace("://", "://bob:p%40ss@") + "/pre/fix/"
        client = transport.client(url)
        error = await _failure(client)
    assert server.requests[0].path == "/pre/fix/x"
    assert server.requests[0].headers["authorization"] == "Basic Ym9iOnBAc3M="
    assert "bob" not in str(error) + repr(client.base_url)


async def test_a_token_is_asked_for_on_every_call(transport: Transport) -> None:
    """A secret that was read again is used by the very next call, and wins over user info."""
    tokens = iter(["one", "two"])
    async with hostile.serving(hostile.answer()) as server:
        client = transport.client(
            server.url.replace("://", "://a:b@"), token=lambda: next(tokens, None)
        )
        for _ in range(3):
            await client.request("GET", "/x")
    assert [r.headers["authorization"] for r in server.requests] == [
        "Bearer one",
        "Bearer two",
        "Basic YTpi",
    ]


@pytest.mark.parametrize("token", ["", " a", "a\r\nx: y", "ä"])
async def test_a_token_no_header_can_carry(transport: Transport, token: str) -> None:
    """A token that would break the request is `unauthorized`, not sent, and not told."""
    async with hostile.serving(hostile.answer()) as server:
        error = await _failure(transport.client(server.url, token=lambda: token))
    assert (error.reason, error.sent, server.requests) == (Reason.UNAUTHORIZED, False, [])


async def test_a_token_that_cannot_be_read(transport: Transport) -> None:
    """A secret file that is gone makes the call `unauthorized`, and nothing is sent."""

    def gone() -> str:
        raise FileNotFoundError

    async with hostile.serving(hostile.answer()) as server:
        error = await _failure(transport.client(server.url, token=gone))
    assert (error.reason, error.sent, server.requests) == (Reason.UNAUTHORIZED, False, [])


async def test_cookies_do_not_travel(transport: Transport) -> None:
    """A cookie one target sets is sent neither back nor to another target."""
    async with hostile.serving(hostile.answer(set_cookie="a=b; Path=/")) as server:
        client = transport.client(server.url)
        await client.request("GET", "/x")
        await client.request("GET", "/x")
    assert all("cookie" not in request.headers for request in server.requests)


async def test_connections_are_kept(transport: Transport) -> None:
    """Calls to one server share a connection, and ask for JSON, uncompressed."""
    ports: set[int] = set()

    async def note_port(_: hostile.Request, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        await hostile.answer()(_, writer)

    async with hostile.serving(note_port) as server:
        for _ in range(5):
            await transport.client(server.url).request("GET", "/x")
    assert len(ports) == 1
    assert server.requests[0].headers["accept"] == "application/json"
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_cancelling_cancels(transport: Transport) -> None:
    """A cancelled call raises CancelledError, at once, and never a CallFailedError."""
    async with hostile.serving(hostile.hang) as server:
        call = asyncio.create_task(transport.client(server.url).request("GET", "/x"))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, 1)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "answered 401 (it is up; the token is missing, wrong or expired): who?"),
        (403, "answered 403 (it is up; the token does not allow this): who?"),
        (404, "answered 404: who?"),
    ],
)
async def test_who_is_refused_is_told_that_the_server_is_up(
    transport: Transport, status: int, words: str
) -> None:
    """Nobody shall take a wrong token for an outage, nor one refusal for the other."""
    async with hostile.serving(hostile.json_answer({"message": "who?"}, status)) as server:
        error = await _failure(transport.client(server.url))
    assert str(error).endswith(words)


async def test_a_status_counts_even_when_its_body_never_ends(transport: Transport) -> None:
    """A 401 whose body hangs or breaks is still `unauthorized`."""
    head = b"HTTP/1.1 401 No\r\ncontent-length: 100\r\n\r\n{"
    for reply in (hostile.raw(head), hostile.raw(head, close=False)):
        async with hostile.serving(reply) as server:
            error = await _failure(transport.client(server.url, timeout=QUICK))
        assert error.reason is Reason.UNAUTHORIZED


async def test_one_hanging_server_does_not_slow_another(transport: Transport) -> None:
    """Calls share a pool but not a queue: a hanging target costs the others nothing."""
    async with hostile.serving(hostile.hang) as bad, hostile.serving(hostile.answer()) as good:
        hanging = [
            asyncio.create_task(transport.client(bad.url).request("GET", "/x")) for _ in range(50)
        ]
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await transport.client(good.url).request("GET", "/x")
        assert time.perf_counter() - began < 0.5
        for call in hanging:
            call.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_hand_made_servers_may_sit_behind_a_bad_path(transport: Transport) -> None:
    """A path that makes no URL is `protocol`, and nothing is sent."""
    async with hostile.serving(hostile.answer()) as server:
        client = transport.client(server.url)
        with pytest.raises(CallFailedError) as caught:
            await client.request("GET", "/a\x00b")
    assert (caught.value.reason, caught.value.sent) == (Reason.PROTOCOL, False)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:9070", "ftp://h", "http://", "http://h:99999", "http://h?a=b", "http://["],
)
async def test_what_is_not_a_base_url(transport: Transport, url: str) -> None:
    """A base URL that cannot work is refused when the client is made."""
    with pytest.raises(ConfigurationError):
        transport.client(url)


@given(st.binary(max_size=200))
def test_any_body_is_json_or_a_failed_call(body: bytes) -> None:
    """No body makes `json()` raise anything but a CallFailedError of `bad_body`."""
    with contextlib.suppress(CallFailedError):
        Answer(200, {}, body, "GET http://h/x").json()


def test_deeply_nested_json_is_a_bad_body() -> None:
    """JSON nested deeper than the parser goes is a bad body, not a crash."""
    with pytest.raises(CallFailedError):
        Answer(200, {}, b"[" * 200_000, "GET http://h/x").json()


@given(st.text(max_size=1000))
def test_foreign_text_becomes_one_bounded_line(text: str) -> None:
    """Whatever a server says fits on one line of at most 300 characters."""
    cleaned = clean_text(text)
    assert len(cleaned) <= 300
    assert len(cleaned.splitlines()) <= 1
