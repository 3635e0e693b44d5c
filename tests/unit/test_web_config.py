"""The web configuration file: the exporter toolkit's form, checked with places, and its effect."""

from __future__ import annotations

import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.errors import ConfigurationError
from exporter.settings.web_config import WebConfig, load_web_config
from exporter.web import WebServer, listen
from exporter.web.serving.envelope import Envelope
from exporter.web.serving.front import Front
from tests.certificates import certificate
from tests.support import ToolFinder

HASH = bcrypt.hashpw(b"swordfish", bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for name in ("one", "two", "ca"):
        certificate(folder, name)
    certificate(folder, "client", signed_by="ca")
    return folder


def written(folder: Path, text: str) -> Path:
    file = folder / "web.yaml"
    file.write_text(text)
    return file


def tls(name: str = "one", more: str = "") -> str:
    return f"tls_server_config:\n  cert_file: {name}.crt\n  key_file: {name}.key\n{more}"


USERS = f"basic_auth_users:\n  prom: {HASH}\n"
HEADERS = "http_server_config:\n  headers: {Strict-Transport-Security: max-age=60}\n"


def test_no_file_is_no_tls_and_no_password() -> None:
    """Nothing is asked for that nobody configured."""
    assert load_web_config(None) == WebConfig()


@pytest.mark.parametrize(
    "text", ["", tls(), USERS, tls() + USERS + HEADERS], ids=["empty", "tls", "users", "all"]
)
def test_what_we_take_is_what_prometheus_takes(pki: Path, text: str, tool: ToolFinder) -> None:
    """promtool agrees that these are web configuration files; paths begin where the file is."""
    file = written(pki, text)
    subprocess.run(
        [tool("promtool"), "check", "web-config", file], check=True, capture_output=True, cwd=pki
    )
    found = load_web_config(file)
    if "tls" in text:
        assert found.tls_server_config is not None
        assert found.tls_server_config.cert_file == pki / "one.crt"
        assert set(found.files) == {pki / "one.crt", pki / "one.key"}
    assert found.basic_auth_users == ({"prom": HASH} if "users" in text else {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_server_confg: {}\n", "web.yaml:1:1: tls_server_confg: is not a key.*tls_server_con"),
        ("[]", "must be a mapping"),
        ("a: [", "web.yaml:"),
        (tls(more="  cert_fil: x\n"), r"web.yaml:4:3: .*cert_fil: is not a key.*cert_file"),
        ("tls_server_config: {cert_file: one.crt}\n", "key_file: is missing"),
        (tls(more="  min_version: TLS10\n"), "min_version: 'TLS10' is not possible; write"),
        (tls(more="  min_version: TLS13\n  max_version: TLS12\n"), "min_version is above"),
        (tls(more="  cipher_suites: [X]\n"), "cipher_suites: is not possible with this server"),
        (tls(more="  client_auth_type: RequireAndVerifyClientCert\n"), "go together"),
        (tls("nowhere"), "nowhere.crt cannot be read"),
        ("basic_auth_users: {prom: swordfish}\n", "basic_auth_users.prom: is no bcrypt hash"),
        ("http_server_config: {headers: {X-Other: x}}\n", "X-Other"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\nb"}}\n', "is no header value"),
    ],
)
def test_what_we_do_not_take_is_said(pki: Path, text: str, said: str) -> None:
    """Place, what is wrong, what to write instead; never a password."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_web_config(written(pki, text))
    assert "swordfish" not in str(caught.value)


def test_a_key_that_does_not_fit_is_refused(pki: Path) -> None:
    """When configuration is loaded, not when the first client comes."""
    text = "tls_server_config: {cert_file: one.crt, key_file: two.key}\n"
    with pytest.raises(ConfigurationError, match=r"one\.crt: this certificate and the key"):
        Front(load_web_config(written(pki, text)))


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(scope["scheme"]).encode()})


@asynccontextmanager
async def serving(front: Front, app: ASGIApp = hello) -> AsyncIterator[str]:
    guarded = Envelope(app, headers=lambda: front.headers)
    server = WebServer(guarded, listen("127.0.0.1:0"), tls=front.tls, stop_within_seconds=2)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


async def get(url: str, trusted: Path, **options: Any) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(trusted))
    if "client" in options:
        context.load_cert_chain(*options.pop("client"))
    if "most" in options:
        context.maximum_version = options.pop("most")
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=10) as client:
        return await client.get(url, **options)


async def test_the_whole_server_speaks_tls(pki: Path) -> None:
    """Over TLS only, with the headers that were asked for; old versions are refused."""
    front = Front(load_web_config(written(pki, tls(more="  min_version: TLS13\n") + HEADERS)))
    async with serving(front) as url:
        assert url.startswith("https://127.0.0.1:")
        answer = await get(url, pki / "one.crt")
        assert answer.text == "https"
        assert answer.headers["strict-transport-security"] == "max-age=60"
        with pytest.raises(httpx.TransportError):
            await get(url.replace("https", "http"), pki / "one.crt")
        with pytest.raises(httpx.ConnectError):
            await get(url, pki / "one.crt", most=ssl.TLSVersion.TLSv1_2)


async def test_a_renewed_certificate_is_shown_without_a_restart(pki: Path) -> None:
    """New connections get it; a pair that does not fit changes nothing; other parts need more."""
    front = Front(load_web_config(written(pki, tls())))
    async with serving(front) as url:
        await get(url, pki / "one.crt")
        assert front.use(load_web_config(written(pki, tls("two"))))
        await get(url, pki / "two.crt")
        with pytest.raises(httpx.ConnectError):
            await get(url, pki / "one.crt")
        wrong = "tls_server_config: {cert_file: one.crt, key_file: two.key}\n"
        with pytest.raises(ConfigurationError):
            front.use(load_web_config(written(pki, wrong)))
        await get(url, pki / "two.crt")
        more = tls("two", "  min_version: TLS13\n")
        assert not front.use(load_web_config(written(pki, more)))
        assert not front.use(WebConfig())


async def test_client_certificates_may_be_required(pki: Path) -> None:
    """Only those of the named authority come in."""
    more = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
    front = Front(load_web_config(written(pki, tls(more=more))))
    async with serving(front) as url:
        client = (pki / "client.crt", pki / "client.key")
        assert (await get(url, pki / "one.crt", client=client)).status_code == 200
        for stranger in ({}, {"client": (pki / "two.crt", pki / "two.key")}):
            with pytest.raises(httpx.TransportError):
                await get(url, pki / "one.crt", **stranger)


async def test_users_are_taken_from_the_file_and_anew_when_it_changes(pki: Path) -> None:
    """As bcrypt hashes, which `htpasswd` writes."""
    front = Front(load_web_config(written(pki, USERS)))
    given = "Basic " + base64.b64encode(b"prom:swordfish").decode()
    assert front.passwords.needed
    assert await front.passwords.check(given)
    assert front.use(WebConfig())
    assert not front.passwords.needed
