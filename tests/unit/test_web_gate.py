"""Who comes in: keys, roles, passwords, other sites' pages, and who fails too often."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bcrypt
import httpx
import pytest
import structlog
from fastapi import FastAPI, Request

from exporter.ledger.keys import digest_of
from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey, Role
from exporter.web.entry.access import Access
from exporter.web.entry.attempts import MOST, REMEMBERED, Attempts
from exporter.web.entry.gate import Gate
from exporter.web.entry.keyring import Keyring
from exporter.web.entry.passwords import Passwords
from exporter.web.entry.sessions import Sessions
from exporter.web.serving.envelope import Envelope
from exporter.wire.operator import PREFIX
from tests.doors import KEYS, OPERATOR, VIEWER, access, key_of

DOCTOR = f"{PREFIX}/doctor"
USERS = {"prom": bcrypt.hashpw(b"swordfish", bcrypt.gensalt(4)).decode()}


class Door:
    """An application that answers everything with who came, behind a gate."""

    def __init__(self, guarded: Access | None = None) -> None:
        self.failures = 0
        self.reached = 0
        app = FastAPI(openapi_url=None)

        @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "DELETE"])
        async def anything(request: Request) -> dict[str, str | None]:
            self.reached += 1
            key: ApiKey | None = request.state.key
            return {"key": None if key is None else key.name}

        guarded = guarded or access(*KEYS, on_failure=self.failed)
        app.add_middleware(Gate, access=guarded)
        app.add_middleware(Envelope)
        self.app = app

    def failed(self) -> None:
        self.failures += 1

    @asynccontextmanager
    async def client(self, peer: str = "10.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://medic:9970") as client:
            yield client

    async def ask(
        self, method: str, path: str, *, peer: str = "10.0.0.1", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client(peer) as client:
            return await client.request(method, path, headers=sent)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize("path", [DOCTOR, "/api/v1/pauses", "/api/v1/targets/prod/check"])
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "UNAUTHORIZED"),
        ("", 401, "UNAUTHORIZED"),
        ("rm_wrong", 401, "UNAUTHORIZED"),
        (OPERATOR + "x", 401, "UNAUTHORIZED"),
        (OPERATOR[:-1], 401, "UNAUTHORIZED"),
        ("x" * 10_000, 401, "UNAUTHORIZED"),
        (VIEWER, 403, "OFFCHAIN_USER_PERMISSION_REQUIRED"),
        (OPERATOR, 200, None),
    ],
)
async def test_writing_needs_an_operators_key(
    path: str, key: str | None, status: int, code: str | None
) -> None:
    """Whatever the route; what does not come in reaches no route, and is counted."""
    door = Door()
    answer = await door.ask("POST", path, **({} if key is None else {"x_api_key": key}))
    assert answer.status_code == status
    assert answer.json().get("code") == code
    assert (door.reached, door.failures) == ((1, 0) if status == 200 else (0, 1))
    assert ("www-authenticate" in answer.headers) is (status == 401)
    if key and status != 200:
        assert key not in answer.text


async def test_a_key_for_writing_comes_in_its_own_header_only() -> None:
    """A bearer token is for reading; nothing else of a request is taken for a key."""
    door = Door()
    for headers in ({"authorization": f"Bearer {OPERATOR}"}, {"cookie": f"x-api-key={OPERATOR}"}):
        assert (await door.ask("POST", DOCTOR, **headers)).status_code == 401
    assert (await door.ask("POST", f"{DOCTOR}?x-api-key={OPERATOR}")).status_code == 401
    assert door.reached == 0


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/decisions", "/openapi.json"])
async def test_reading_is_open_unless_it_is_said_otherwise(path: str) -> None:
    """With the setting a viewer's key is needed, as X-Api-Key or as Prometheus sends one."""
    assert (await Door().ask("GET", path)).status_code == 200
    closed = Door(access(*KEYS, reading_needs_key=True))
    assert (await closed.ask("GET", path)).status_code == 401
    assert (await closed.ask("HEAD", path)).status_code == 401
    for headers in (
        {"x_api_key": VIEWER},
        {"authorization": f"Bearer {VIEWER}"},
        {"authorization": f"bearer {OPERATOR}"},
    ):
        assert (await closed.ask("GET", path, **headers)).status_code == 200


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_whoever_asks_for_health_needs_no_key(path: str) -> None:
    """Not even where reading is closed."""
    assert (await Door(access(reading_needs_key=True)).ask("GET", path)).status_code == 200


async def test_a_wrong_key_is_refused_even_where_none_is_needed() -> None:
    """Whoever sends one believes that it is valid."""
    door = Door()
    assert (await door.ask("GET", "/metrics", x_api_key="rm_old")).status_code == 401
    assert (await door.ask("GET", "/metrics", x_api_key=VIEWER)).json() == {"key": "wall"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://medic:9970"}, 200),
        ({"origin": "http://MEDIC:9970"}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "http://medic"}, 403),
        ({"origin": "https://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
async def test_no_other_sites_page_writes(headers: dict[str, str], status: int) -> None:
    """Not even with a key; reading is the browser's own rules' to hide."""
    door = Door()
    answer = await door.ask("POST", DOCTOR, x_api_key=OPERATOR, **headers)
    assert answer.status_code == status
    assert (await door.ask("GET", "/", **headers)).status_code == 200


async def test_too_many_failures_from_an_address_get_an_early_no() -> None:
    """The address's wrong keys only: valid keys pass, and so do others' mistakes."""
    now = [0.0]
    door = Door(access(*KEYS, attempts=Attempts(monotonic=lambda: now[0])))
    with structlog.testing.capture_logs() as logs:
        statuses = [
            (await door.ask("POST", DOCTOR, x_api_key=f"rm_{n}")).status_code
            for n in range(MOST + 5)
        ]
    assert statuses == [401] * MOST + [429] * 5
    assert len([entry for entry in logs if entry["event"] == "auth.failed"]) == MOST
    limited = await door.ask("POST", DOCTOR, x_api_key="rm_x")
    assert limited.json()["code"] == "TOO_MANY_REQUESTS"
    assert int(limited.headers["retry-after"]) == 60
    assert (await door.ask("POST", DOCTOR, x_api_key=OPERATOR)).status_code == 200
    other = await door.ask("POST", DOCTOR, x_api_key="rm_x", peer="10.0.0.2")
    assert other.status_code == 401
    now[0] += 61
    assert (await door.ask("POST", DOCTOR, x_api_key="rm_x")).status_code == 401


async def test_a_missing_key_is_no_attempt_at_one() -> None:
    """A client that forgets its key is told so each time, however often."""
    door = Door()
    for _ in range(MOST * 2):
        assert (await door.ask("POST", DOCTOR)).status_code == 401
    assert door.failures == MOST * 2


def test_failures_are_remembered_within_bounds() -> None:
    """A flood of addresses costs no more memory; one IPv6 host is one address."""
    attempts = Attempts()
    for number in range(REMEMBERED * 3):
        attempts.failed(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(attempts) == REMEMBERED
    for number in range(MOST):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait_seconds("2001:db8::ffff") > 0
    assert attempts.wait_seconds("2001:db8:0:1::1") == 0
    for _ in range(MOST):
        attempts.failed("::ffff:192.0.2.1")
    assert attempts.wait_seconds("::ffff:192.0.2.2") == 0


# Keys


class Book:
    """A ledger's keys that a test changes, and how often they were read."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = keys
        self.reads = 0
        self.broken = False

    async def read(self) -> tuple[ApiKey, ...]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.broken:
            raise LedgerUnavailableError("locked")
        return self.keys


def revoked(key: ApiKey) -> ApiKey:
    return ApiKey(
        key.id, key.name, key.role, key.digest, key.created_at, "mira", key.created_at, "mira"
    )


async def test_a_new_key_works_at_once_and_a_revoked_one_until_the_next_look() -> None:
    """A key that is not known makes the ledger be asked again; one that is known does not."""
    book = Book()
    keyring = Keyring(book.read)
    assert await keyring.find(OPERATOR) is None
    book.keys = KEYS
    found = await keyring.find(OPERATOR)
    assert found is not None
    assert found.name == "ops"
    reads = book.reads
    assert await keyring.find(OPERATOR) == found
    assert book.reads == reads
    book.keys = tuple(revoked(key) for key in KEYS)
    await keyring.refresh()
    assert await keyring.find(OPERATOR) is None


async def test_strangers_do_not_make_the_ledger_busy() -> None:
    """However many come with wrong keys at once, they share few looks."""
    book = Book(*KEYS)
    keyring = Keyring(book.read)
    await keyring.refresh()
    found = await asyncio.gather(*(keyring.find(f"rm_{n}") for n in range(200)))
    assert found == [None] * 200
    assert book.reads <= 3
    assert await keyring.find("rm_limited", look_again=False) is None
    assert book.reads <= 3


async def test_what_was_known_stays_while_the_ledger_is_away() -> None:
    """Unknown is not none: before the first look nobody is refused, but told to come back."""
    book = Book(*KEYS)
    book.broken = True
    keyring = Keyring(book.read)
    with pytest.raises(LedgerUnavailableError):
        await keyring.find(OPERATOR)
    door = Door(
        Access(
            keyring=keyring,
            sessions=Sessions(keyring),
            reading_needs_key=lambda: False,
            passwords=Passwords(),
        )
    )
    answer = await door.ask("POST", DOCTOR, x_api_key=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (503, "LEDGER_UNAVAILABLE")
    book.broken = False
    assert await keyring.find(OPERATOR)
    book.broken = True
    assert await keyring.find(OPERATOR)
    assert await keyring.find("rm_new") is None


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where in the list the right key stands does not show in the time it takes."""
    compared: list[str] = []

    def counted(one: str, other: str) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", counted)
    keys = tuple(key_of(f"rm_{n}", str(n), Role.VIEWER) for n in range(5))
    keyring = Keyring(Book(*keys).read)
    asyncio.run(keyring.refresh())
    for secret in ("rm_0", "rm_4"):
        compared.clear()
        assert asyncio.run(keyring.find(secret))
        assert compared == [digest_of(f"rm_{n}") for n in range(5)]


# Passwords


async def test_a_password_is_asked_for_everything_and_a_key_as_well() -> None:
    """As with other exporters; what needs a key needs it all the same."""
    door = Door(access(*KEYS, users=USERS))
    missing = await door.ask("GET", "/-/healthy")
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"].startswith("Basic ")
    right = {"authorization": basic("prom", "swordfish")}
    assert (await door.ask("GET", "/metrics", **right)).status_code == 200
    assert (await door.ask("POST", DOCTOR, **right)).status_code == 401
    assert (await door.ask("POST", DOCTOR, x_api_key=OPERATOR)).status_code == 401
    assert (await door.ask("POST", DOCTOR, x_api_key=OPERATOR, **right)).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        basic("prom", "wrong"),
        basic("nobody", "swordfish"),
        basic("prom", ""),
        basic("prom", "swordfish" * 20),
        basic("prom", "sword\0fish"),
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Bearer swordfish",
        "",
    ],
)
async def test_a_wrong_password_is_refused(given: str) -> None:
    """Also what is no name and password at all."""
    door = Door(access(users=USERS))
    assert (await door.ask("GET", "/metrics", authorization=given)).status_code == 401


async def test_a_right_password_is_not_hashed_each_time() -> None:
    """A scrape every few seconds would cost much; new users make it forget."""
    passwords = Passwords()
    passwords.use(USERS)
    right = basic("prom", "swordfish")
    assert not passwords.remembers(right)
    assert await passwords.check(right)
    assert passwords.remembers(right)
    assert not passwords.remembers(basic("prom", "wrong"))
    passwords.use({"prom": bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()})
    assert not passwords.remembers(right)
    assert not await passwords.check(right)


async def test_passwords_are_guessed_slowly() -> None:
    """An address that fails too often is not even compared; who was right before still comes in."""
    door = Door(access(users=USERS))
    right = {"authorization": basic("prom", "swordfish")}
    assert (await door.ask("GET", "/", **right)).status_code == 200
    statuses = [
        (await door.ask("GET", "/", authorization=basic("prom", str(n)))).status_code
        for n in range(MOST + 2)
    ]
    assert statuses == [401] * MOST + [429] * 2
    assert (await door.ask("GET", "/", **right)).status_code == 200
