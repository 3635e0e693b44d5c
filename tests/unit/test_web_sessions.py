"""Key holders in a browser: how a session begins, what it opens, and when it ends."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

import pytest
import structlog
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey
from exporter.web.entry.access import Access
from exporter.web.entry.attempts import MOST, Attempts
from exporter.web.entry.keyring import Keyring
from exporter.web.entry.passwords import Passwords
from exporter.web.entry.sessions import COOKIE, LONGEST_SECONDS, Sessions
from exporter.web.page.login import _way
from tests.doors import KEYS, OPERATOR, VIEWER, access
from tests.unit.pages import Html, Pages, asked

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Keys:
    """The ledger's keys, which a test may change."""

    def __init__(self) -> None:
        self.keys: tuple[ApiKey, ...] = KEYS
        self.away = False
        self.now = 0.0

    async def read(self) -> tuple[ApiKey, ...]:
        if self.away:
            raise LedgerUnavailableError("away")
        return self.keys

    def ring(self) -> Keyring:
        return Keyring(self.read, monotonic=lambda: self.now)


def cookie(value: str) -> str:
    return f"{COOKIE}={value}"


async def name_of(sessions: Sessions, header: str) -> str | None:
    found = await sessions.find(header)
    return None if found is None else found.name


async def test_a_session_stands_for_its_key_and_never_holds_it() -> None:
    """The cookie has the key's number; the header may hold others' cookies, too."""
    sessions = Sessions(Keys().ring())
    value = sessions.begin(KEYS[0])
    assert await name_of(sessions, f"a=b; {cookie(value)}; c=d") == "ops"
    assert await name_of(sessions, cookie(sessions.begin(KEYS[1]))) == "wall"
    assert OPERATOR not in value
    payload = value.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == KEYS[0].id


async def test_a_session_ends_after_its_time() -> None:
    """To the second, whatever is done in it."""
    with freeze_time(NOW, real_asyncio=True) as frozen:
        sessions = Sessions(Keys().ring())
        header = cookie(sessions.begin(KEYS[0]))
        frozen.tick(LONGEST_SECONDS)
        assert await name_of(sessions, header) == "ops"
        frozen.tick(1)
        assert await name_of(sessions, header) is None


async def test_a_session_ends_with_its_key() -> None:
    """As soon as the keyring has read that it is revoked."""
    keys = Keys()
    ring = keys.ring()
    sessions = Sessions(ring)
    header = cookie(sessions.begin(KEYS[0]))
    assert await name_of(sessions, header) == "ops"
    keys.keys = KEYS[1:]
    await ring.refresh()
    assert await name_of(sessions, header) is None


async def test_a_session_ends_with_its_process() -> None:
    """The secret is this process's: another one's cookie opens nothing."""
    one, other = Sessions(Keys().ring()), Sessions(Keys().ring())
    assert await name_of(other, cookie(one.begin(KEYS[0]))) is None


@pytest.mark.parametrize(
    "header",
    [
        *("", ";;;", "=", COOKIE, f"{COOKIE}=", f"{COOKIE}=1", f'{COOKIE}="1"', f"x{COOKIE}=1"),
        f"{COOKIE}={'x' * 100_000}",
        f"{COOKIE}=MQ.aAaAaA.bBbBbB",
        f"{COOKIE}={OPERATOR}",
        "\x00\xff; \x00=\x00",
    ],
)
async def test_a_forged_cookie_opens_nothing(header: str) -> None:
    """Nor does it break anything."""
    assert await name_of(Sessions(Keys().ring()), header) is None


@given(at=st.integers(0, 200), bit=st.integers(0, 6))
async def test_a_changed_cookie_opens_nothing(at: int, bit: int) -> None:
    """Whichever part of it is changed."""
    sessions = Sessions(Keys().ring())
    value = sessions.begin(KEYS[0])
    at %= len(value)
    changed = value[:at] + chr(ord(value[at]) ^ (1 << bit)) + value[at + 1 :]
    found = await sessions.find(cookie(changed))
    # The last digit of a base64 text has bits that mean nothing.
    assert found is None or at == len(value) - 1


# Logging in


@cache
def opened() -> Pages:
    """One application for all who come with a right key; building it takes longer than a page."""
    return Pages()


async def log_in(pages: Pages, key: str, **more: str) -> str:
    answer = await asked(pages.app, "POST", "/login", {"key": key, **more})
    assert answer.status_code == 303, Html(answer.text).words
    found: str = answer.headers["set-cookie"]
    return found


async def test_logging_in_and_out() -> None:
    """The page says who it is; the cookie is for this site alone, and for no script."""
    pages = opened()
    given_cookie = await log_in(pages, f" {OPERATOR}\n")
    value, *rules = (part.strip() for part in given_cookie.split(";"))
    assert {rule.lower() for rule in rules} == {
        *("httponly", "samesite=strict", "path=/", f"max-age={LONGEST_SECONDS}"),
    }
    page = await pages.page("/", cookie=value)
    assert "ops operator" in page.words
    (form,) = [one for one in page.all("form") if one["method"] == "post"]
    assert form["action"] == "./logout"
    answer = await asked(pages.app, "POST", "/logout", {}, cookie=value, origin="http://medic")
    assert (answer.status_code, answer.headers["location"]) == (303, "./?done=out")
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "Log in with a key" in (await pages.page("/")).words


async def test_over_tls_the_cookie_is_for_tls_only() -> None:
    """Never sent in clear text then."""
    answer = await asked(opened().app, "POST", "/login", {"key": OPERATOR}, base="https://medic")
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_wrong_key_is_told_and_counted() -> None:
    """As a key that was sent any other way; the key is repeated nowhere."""
    failures: list[int] = []
    pages = Pages(access=access(*KEYS, on_failure=lambda: failures.append(1)))
    with structlog.testing.capture_logs() as logs:
        for key in ("rm_wrong", "", "x" * 10_000):
            answer = await asked(pages.app, "POST", "/login", {"key": key, "next": "policies"})
            page = Html(answer.text)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
            assert "Not logged in: the key is wrong or revoked." in page.words
            assert page.all("input", name="next")[0]["value"] == "policies"
            assert not key or key not in answer.text
    assert len(failures) == 3
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "auth.failed"
    ] * 3


async def test_attempts_are_limited() -> None:
    """Ten a minute from an address, together with those of keys; a right key still gets in."""
    now = [0.0]
    pages = Pages(access=access(*KEYS, attempts=Attempts(monotonic=lambda: now[0])))
    for number in range(MOST):
        path = "/login" if number % 2 else "/api/v1/pauses"
        sent = {"x_api_key": "rm_x"} if path != "/login" else {}
        assert (await asked(pages.app, "POST", path, {"key": "rm_x"}, **sent)).status_code == 401
    answer = await asked(pages.app, "POST", "/login", {"key": "rm_x"})
    assert answer.status_code == 429
    assert "too many failed attempts from this address" in Html(answer.text).words
    other = await asked(pages.app, "POST", "/login", {"key": "rm_x"}, peer="10.0.0.2")
    assert other.status_code == 401
    await log_in(pages, OPERATOR)
    now[0] = 61.0
    assert (await asked(pages.app, "POST", "/login", {"key": "rm_x"})).status_code == 401


async def test_another_sites_page_logs_nobody_in_or_out() -> None:
    """A form elsewhere cannot make somebody's browser use another's key."""
    pages = opened()
    for path in ("/login", "/logout"):
        answer = await asked(pages.app, "POST", path, {"key": OPERATOR}, origin="https://evil.test")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_before_the_keys_were_ever_read_nobody_is_turned_away_as_wrong() -> None:
    """503: unknown is not wrong."""
    keys = Keys()
    keys.away = True
    ring = keys.ring()
    pages = Pages(
        access=Access(
            keyring=ring,
            sessions=Sessions(ring),
            reading_needs_key=lambda: False,
            passwords=Passwords(),
        )
    )
    answer = await asked(pages.app, "POST", "/login", {"key": OPERATOR})
    assert answer.status_code == 503
    assert "Log in with a key" in (await pages.page("/", cookie=cookie("MQ.a.b"))).words


# Where to go on


@pytest.mark.parametrize("way", ["", "policies", "targets/prod-1", "audit/op_1", "targets/a%20b"])
async def test_after_logging_in_one_is_where_one_was(way: str) -> None:
    """The page that led here."""
    answer = await asked(opened().app, "POST", "/login", {"key": OPERATOR, "next": way})
    assert answer.headers["location"] == f"./{way}?done=in"


@pytest.mark.parametrize(
    "way",
    [
        *(
            "//evil.test",
            "/evil.test",
            "https://evil.test",
            "https:evil.test",
            "javascript:alert(1)",
        ),
        *("\\\\evil.test", "/\\evil.test", "..//evil.test", "../..", "a/../../b", "@evil.test"),
        *("evil?next=x", "x#y", "x y", "x\r\nset-cookie: a=b", "\t//evil.test", "é", "x" * 201),
    ],
)
async def test_logging_in_leads_to_no_other_site(way: str) -> None:
    """Whatever else stands there is the overview."""
    pages = opened()
    answer = await asked(pages.app, "POST", "/login", {"key": OPERATOR, "next": way})
    assert answer.headers["location"] == "./?done=in"
    answer = await asked(pages.app, "GET", f"/login?next={quote(way)}")
    assert Html(answer.text).all("input", name="next")[0]["value"] == ""


@given(st.text())
def test_no_way_leaves_the_site(text: str) -> None:
    """Resolved as a browser does, it stays below the page."""
    way = _way(text)
    assert not way.startswith("/")
    assert not set(way) & set(":?#\\@ \t\r\n")
    assert ".." not in way


async def test_reading_that_needs_a_key_leads_a_browser_to_log_in() -> None:
    """And a program to a 401 in JSON; with a session everything can be read."""
    pages = Pages(access=access(*KEYS, reading_needs_key=True))
    for path, way in (
        ("/", "./login?next="),
        ("/policies", "./login?next=policies"),
        ("/targets/prod", "../login?next=targets/prod"),
        ("/audit/op_1", "../login?next=audit/op_1"),
    ):
        answer = await pages.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, way)
        answer = await pages.get(path, accept="application/json")
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    for path in ("/api/v1/targets", "/metrics", "/openapi.json"):
        answer = await pages.get(
            path, accept="application/json, text/html" if "a" in path else "*/*"
        )
        if path == "/api/v1/targets":
            assert answer.status_code == 401
    assert (await pages.page("/login")).all("input", name="key")
    value = (await log_in(pages, VIEWER)).partition(";")[0]
    assert "wall viewer" in (await pages.page("/", cookie=value)).words
    assert (await pages.get("/api/v1/targets", cookie=value)).status_code == 200
    assert (await pages.get("/metrics", cookie=value)).status_code == 200


# What a session opens


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/targets/local/check"),
        ("POST", "/api/v1/pauses"),
        ("DELETE", "/api/v1/pauses?scope=global"),
        ("POST", "/api/v2/admin/operator/restate/doctor"),
        ("POST", "/api/v1/alertmanager"),
    ],
)
async def test_a_session_writes_only_through_the_forms(method: str, path: str) -> None:
    """The API wants the key itself: no page can make a browser call it."""
    pages = opened()
    value = (await log_in(pages, OPERATOR)).partition(";")[0]
    answer = await asked(pages.app, method, path, cookie=value, origin="http://medic")
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def test_a_key_wins_over_a_session() -> None:
    """Who sends both is who the key says."""
    pages = opened()
    value = (await log_in(pages, OPERATOR)).partition(";")[0]
    page = await pages.page("/", cookie=value, x_api_key=VIEWER)
    assert "wall viewer" in page.words
    answer = await pages.get("/", cookie=value, x_api_key="rm_wrong")
    assert answer.status_code in {303, 401}
