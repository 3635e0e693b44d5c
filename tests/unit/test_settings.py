"""The configuration: where each value comes from, and every problem with its place and mend."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.ledger.sealing import ChainKey, ChainKeys
from exporter.model.component import RECOVERY_API_COMPONENTS, Component
from exporter.model.decision import Mode
from exporter.model.errors import ConfigurationError
from exporter.model.operation import Window
from exporter.model.target import Worker
from exporter.settings.load import Configuration, load
from exporter.settings.schema import Settings
from exporter.settings.secrets import SecretRef, TokenSource
from exporter.settings.targets import TargetSettings
from tests.unit.test_model_token import jwt

TARGET = """\
targets:
  - name: prod
    ingress_url: http://h:8080
    admin_url: http://h:9070
"""
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
JWT = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set."""
    for name in [name for name in os.environ if name.startswith("RESTATE_MEDIC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the configuration file: a target, unless the text has its own, and more keys."""

    def to_file(more: str = "", *, target: str = TARGET) -> Path:
        file = tmp_path / "medic.yaml"
        file.write_text(target + more, encoding="utf-8")
        return file

    return to_file


def problems(file: Path | None, **flags: Any) -> list[str]:
    """What is wrong, with the file's folder left out."""
    with pytest.raises(ConfigurationError) as raised:
        load(file, flags=flags)
    folder = f"{file.parent}/" if file else "\0"
    return [line.replace(folder, "") for line in raised.value.problems]


# Where values come from


def test_without_a_file_one_restate_here_is_observed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who just starts it sees something, and nothing is ever written."""
    monkeypatch.chdir(tmp_path)
    found = load(None)
    assert [t.name for t in found.targets] == ["local"]
    assert found.settings.targets[0].ingress_url == "http://localhost:8080"
    assert found.settings.targets[0].admin_url == "http://localhost:9070"
    assert found.settings.max_mode is Mode.OBSERVE
    assert found.storage_url == f"sqlite:///{tmp_path}/data/medic.db"
    assert found.policy_patterns == ()


def test_what_is_left_out_has_the_documented_default(write: Write, tmp_path: Path) -> None:
    """With a file the policies decide for themselves how far they go."""
    found = load(write())
    values = found.settings
    assert values.max_mode is Mode.ENFORCE
    assert values.web_listen_address == "127.0.0.1:9970"
    assert found.storage_url == f"sqlite:///{tmp_path}/data/medic.db"
    (target,) = found.targets
    assert target.intervals == {
        Component.INGRESS: 15 * SECOND,
        Component.ADMIN: 15 * SECOND,
        Component.DEPLOYMENTS: 15 * SECOND,
        Component.SERVICES: 15 * SECOND,
        Component.INVOCATIONS: MINUTE,
        Component.DRIFT: 5 * MINUTE,
    }


def test_flags_win_over_variables_over_the_file_over_defaults(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, each key for itself."""
    file = write("interval: 20s\nmax_mode: off\nlog_level: debug\n")

    def found(**flags: str) -> tuple[object, ...]:
        values = load(file, flags=flags).settings
        return values.interval, values.max_mode, values.log_level, values.invocations_interval

    assert found() == (20 * SECOND, Mode.OFF, "debug", MINUTE)
    monkeypatch.setenv("RESTATE_MEDIC_MAX_MODE", "observe")
    monkeypatch.setenv("RESTATE_MEDIC_INTERVAL", "30s")
    assert found() == (30 * SECOND, Mode.OBSERVE, "debug", MINUTE)
    assert found(max_mode="enforce") == (30 * SECOND, Mode.ENFORCE, "debug", MINUTE)


def test_variables_reach_into_sections_and_may_hold_json(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two underscores lead into a section; a list or a mapping is JSON."""
    monkeypatch.setenv("RESTATE_MEDIC_STORAGE__URL", "postgresql://db/medic")
    monkeypatch.setenv("RESTATE_MEDIC_POLICIES", '["more/*.yaml"]')
    target = {"name": "other", "ingress_url": "http://o:8080", "admin_url": "http://o:9070"}
    monkeypatch.setenv("RESTATE_MEDIC_TARGETS", json.dumps([target]))
    found = load(write("storage: {url: 'sqlite:///x.db'}\n"))
    assert found.storage_url == "postgresql://db/medic"
    assert found.policy_patterns == ("more/*.yaml",)
    assert [t.name for t in found.targets] == ["other"]


def test_the_variable_that_names_the_file_is_known(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the command line's, and no key of the file."""
    monkeypatch.setenv("RESTATE_MEDIC_CONFIG_FILE", "elsewhere.yaml")
    assert load(write()).targets


def test_relative_paths_are_beside_the_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From whichever folder the daemon is started: ledger, policies and secrets."""
    (tmp_path / "token").write_text("key_abcdefghijkl\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text("policies: []\n")
    file = write("    admin_token: {file: token}\nstorage: {url: 'sqlite:///db/medic.db'}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = load(Path("../medic.yaml"))
    assert Path(found.storage_url.removeprefix("sqlite:///")).resolve() == tmp_path / "db/medic.db"
    assert found.policy_patterns == ("policies/*.yaml",)
    token = found.settings.targets[0].admin_token
    assert token is not None
    assert token.read() == "key_abcdefghijkl"
    before = found.fingerprint()
    (tmp_path / "token").write_text("key_mnopqrstuvwx\n")
    assert found.fingerprint() != before
    del file


def test_absolute_paths_stay(write: Write, tmp_path: Path) -> None:
    """Policies, ledger and secrets may be anywhere."""
    token = tmp_path / "token"
    token.write_text("key_abcdefghijkl")
    more = f"storage: {{url: 'sqlite:////var/lib/medic.db'}}\npolicies: [{tmp_path}/p/*.yaml]\n"
    found = load(write(more, target=f"{TARGET}    admin_token: {{file: {token}}}\n"))
    assert found.storage_url == "sqlite:////var/lib/medic.db"
    assert found.policy_patterns == (f"{tmp_path}/p/*.yaml",)
    assert found.fingerprint() == found.fingerprint()


# What the targets become


def test_a_target_as_rules_see_it(write: Write) -> None:
    """URLs as the server writes them, services sorted and once, its own intervals first."""
    own = """
        expected_services: [Mailer, Greeter, Mailer]
        workers:
          - {url: http://W1:9080, services: [B, A]}
          - url: arn:aws:lambda:eu-central-1:1:function:x:1
        protect: {deployment_metadata: {managed-by: restate-operator}}
        labels: {tier: critical}
        interval: 5s
        drift_interval: 10m
    """
    text = TARGET + indent(dedent(own), "    ") + "\n"
    (target,) = load(write("invocations_interval: 2m\n", target=text)).targets
    assert target.workers == (
        Worker("http://w1:9080/", ("A", "B")),
        Worker("arn:aws:lambda:eu-central-1:1:function:x:1"),
    )
    assert target.expected_services == ("Greeter", "Mailer")
    assert target.protected_metadata == {"managed-by": "restate-operator"}
    assert target.labels == {"tier": "critical"}
    assert target.intervals[Component.ADMIN] == 5 * SECOND
    assert target.intervals[Component.INVOCATIONS] == 2 * MINUTE
    assert target.intervals[Component.DRIFT] == 10 * MINUTE


def test_service_url_is_short_for_one_worker(write: Write) -> None:
    """The exact address is kept, path and all."""
    (target,) = load(write("    service_url: http://ddwf:9080/v1\n")).targets
    assert target.workers == (Worker("http://ddwf:9080/v1"),)


def test_limits_over_everything(write: Write) -> None:
    """As the engine counts them; ``forever`` has no length."""
    found = load(write("limits: [{max: 20, per: 1h}, {max: 3, per: forever}]\n"))
    assert [limit.window for limit in found.settings.limits] == [
        Window("global", 20, timedelta(hours=1)),
        Window("global", 3, None),
    ]


def test_choosing_a_target(write: Write) -> None:
    """The only one, or the one that is named; a wrong name is told with the ones there are."""
    one = load(write())
    assert (one.choose(None), one.choose_all(None)) == ("prod", ["prod"])
    second = "  - {name: test, ingress_url: http://t:8080, admin_url: http://t:9070}\n"
    two = load(write(target=TARGET + second))
    assert (two.choose("test"), two.choose_all(None)) == ("test", ["prod", "test"])
    with pytest.raises(ConfigurationError, match="there are 2 targets: name one of prod, test"):
        two.choose(None)
    with pytest.raises(ConfigurationError, match="did you mean 'prod'"):
        two.choose("prdo")


# What is refused, where, and what to write instead


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("interval: 5\n", "5:11: interval: 5 is not a duration; write a number with a unit"),
        ("interval:\n", "5:1: interval: None is not a duration; write"),
        ("interval: 500ms\n", "5:11: interval: '500ms' is too short; write 1s or more"),
        ("timeout: 0s\n", "5:10: timeout: '0s' is zero; write a duration such as 15s"),
        ("lease: 1s\n", "5:8: lease: '1s' is too short; write 5s or more"),
        ("storage: {keep: 29d}\n", "5:17: storage.keep: '29d' is too short; write 30d or more"),
        ("max_mode: act\n", "5:11: max_mode: 'act' is not possible; write 'off', 'observe'"),
        ("log_level: loud\n", "5:12: log_level: 'loud' is not possible; write 'debug'"),
        ("policies: a.yaml\n", "5:11: policies: is not a list; write [one, another]"),
        ("policies: [1]\n", "5:12: policies[0]: is not text; write it in quotes"),
        ("storage: data\n", "5:10: storage: is not a mapping; write key: value"),
        ("storage: {url: mysql://h}\n", "5:16: storage.url: is no database; write sqlite:///"),
        ("storage: {url: 'sqlite:///'}\n", "5:16: storage.url: is no database"),
        ("storage: {url: 'sqlite:///:memory:'}\n", "5:16: storage.url: is no database"),
        ("limits: [{max: -1, per: 1h}]\n", "5:16: limits[0].max: -1 is too small; write 0"),
        ("limits: [{max: no, per: 1h}]\n", "5:16: limits[0].max: is not a whole number"),
        ("limits: [{max: 1, per: 60}]\n", "5:24: limits[0].per: 60 is not a duration"),
        ("limits: [{max: 1}]\n", "5:10: limits[0].per: is missing; write it"),
        ("web_listen_address: 9970\n", "5:21: web_listen_address: is not text"),
        ("web_listen_address: host\n", "5:21: web_listen_address: 'host' is not an address"),
        ("web_listen_address: h:65536\n", "5:21: web_listen_address: 'h:65536' is not an addr"),
        ("allowed_service_urls: [w]\n", "5:24: allowed_service_urls[0]: 'w' is not a URL; write"),
        ("    labels: {tier: 1}\n", "5:20: targets[0].labels.tier: is not text; write it in"),
        ("    expected_services: A\n", "5:24: targets[0].expected_services: is not a list"),
        ("    interval: 5\n", "5:15: targets[0].interval: 5 is not a duration"),
        ("    workers: [{}]\n", "5:15: targets[0].workers[0].url: is missing; write it"),
        ("    workers: [{url: w:9080}]\n", "5:21: targets[0].workers[0].url: 'w:9080' is not"),
        (
            "    workers: [{url: http://w:1}, {url: http://W:1/}]\n",
            "5:40: targets[0].workers[1].url: 'http://W:1/' is listed twice; merge",
        ),
        (
            "    service_url: http://w:1\n    workers: [{url: http://w:1}]\n",
            "5:18: targets[0].service_url: is short for workers: [{url: …}]; write only one",
        ),
        ("  - {name: prod}\n", "5:5: targets[1].ingress_url: is missing; write it"),
    ],
)
def test_a_bad_value_is_told_with_its_place_and_mend(write: Write, more: str, line: str) -> None:
    """File, line, column, key, what is wrong, what to write instead."""
    found = problems(write(more))
    assert [told for told in found if told.startswith(f"medic.yaml:{line}")], found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("htp://h:9070", "is not a URL; write http://host:port or https://host:port"),
        ("h:9070", "is not a URL"),
        ("http://", "is not a URL"),
        ("http://h:99999", "is not a URL"),
        ("http://h:port", "is not a URL"),
        ("'http://[::1'", "is not a URL"),
        ("http://h:9070/?a=b", "is not a base URL; write it without ? and #"),
        ("'http://h:9070/#x'", "is not a base URL"),
        ("https://admin.example.com", "is a placeholder; write the real address"),
        ("http://your-platform:9070", "is a placeholder"),
        ("'http://<host>:9070'", "is a placeholder"),
    ],
)
def test_an_address_that_cannot_be_one(write: Write, url: str, why: str) -> None:
    """A template's stand-in must not look like a target that is down."""
    (told,) = problems(write(target=TARGET.replace("http://h:9070", url)))
    assert told.startswith("medic.yaml:4:16: targets[0].admin_url: ")
    assert why in told


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ("{name: prod, ingress_url: http://x:1, admin_url: http://x:2}", "two targets are named"),
        ("{name: b, ingress_url: http://x:1, admin_url: HTTP://H:9070/}", "is that of target 'p"),
    ],
)
def test_two_targets_must_differ(write: Write, second: str, line: str) -> None:
    """In name and in admin URL as the server would write it; told at the second one."""
    (told,) = problems(write(f"  - {second}\n"))
    assert told.startswith("medic.yaml:5:")
    assert line in told


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1:1: targets: names none; write targets: [{name: …"),
        ("{}\n", "1:1: targets: names none"),
        ("targets: []\n", "1:10: targets: names none"),
        ("targets: prod\n", "1:10: targets: is not a list"),
        ("targets: [prod]\n", "1:11: targets[0]: is not a mapping; write key: value"),
        ("- targets\n", "1:1: must be a mapping; write key: value"),
        ("targets: [\n", "2:1: is not YAML: "),
        ("a: 1\na: 2\n", "2:1: is written twice, first in line 1; keep one"),
        ("\tx: 1\n", "1:1: is not YAML: found a tab; write spaces to indent"),
    ],
)
def test_a_file_that_is_no_configuration(write: Write, text: str, line: str) -> None:
    """It too is told with a place."""
    assert problems(write(target=text))[0].startswith(f"medic.yaml:{line}")


def test_a_file_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    """Absent, a folder, not text: what to do about it."""
    assert problems(tmp_path / "none.yaml") == [
        "none.yaml: cannot be read (No such file or directory); name an existing file"
    ]
    assert "cannot be read (Is a directory)" in problems(tmp_path)[0]
    file = write()
    file.write_bytes(b"targets:\n  - name: \xff\n")
    assert problems(file) == ["medic.yaml:2:11: is not UTF-8; save it as UTF-8"]


def test_every_problem_is_told_at_once(write: Write) -> None:
    """Nobody should have to start five times."""
    found = problems(write("interval: 5\nmax_mode: act\nlog_level: loud\n"))
    assert [line.split(": ")[1] for line in found] == ["interval", "max_mode", "log_level"]


# Keys


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("intervall: 5s\n", "5:1: intervall: is not a key of the configuration; did you mean 'in"),
        ("nonsense: 5s\n", "5:1: nonsense: is not a key of the configuration; remove it"),
        ("    adminurl: x\n", "5:5: targets[0].adminurl: is not a key of the configuration; did"),
        ("storage: {ulr: x}\n", "5:11: storage.ulr: is not a key of the configuration; did you"),
        ("    workers: [{urls: x}]\n", "5:16: targets[0].workers[0].urls: is not a key"),
        ("    protect: {metadata: {}}\n", "5:15: targets[0].protect.metadata: is not a key"),
        ("    admin_token: {envv: A}\n", "5:19: targets[0].admin_token.envv: is not a key"),
    ],
)
def test_unknown_keys_are_refused(write: Write, more: str, line: str) -> None:
    """A key that nobody reads is a wish that nobody fulfils."""
    found = problems(write(more))
    assert [told for told in found if told.startswith(f"medic.yaml:{line}")], found


def test_history_is_kept_for_a_week_and_a_gigabyte(write: Write) -> None:
    """Unless something else is written: a duration, a size in words, or not at all."""
    kept = load(write()).settings.history
    assert (kept.enabled, kept.keep, kept.max_bytes) == (True, timedelta(days=7), 10**9)
    kept = load(write("history: {keep: 36h, max_bytes: 50MB}\n")).settings.history
    assert (kept.keep, kept.max_bytes) == (timedelta(hours=36), 50_000_000)
    assert not load(write("history: {enabled: false}\n")).settings.history.enabled


@pytest.mark.parametrize(
    ("written", "size"),
    [("1000000", 10**6), ("2 MB", 2 * 10**6), ("5000kB", 5 * 10**6), ("3GiB", 3 * 10**9)],
)
def test_a_size_is_read(write: Write, written: str, size: int) -> None:
    """In the units people write, in thousands."""
    assert load(write(f"history: {{max_bytes: {written}}}\n")).settings.history.max_bytes == size


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            "history: {max_bytes: 10kB}\n",
            "5:22: history.max_bytes: '10kB' is no size of 1 MB or more; write one such as 500MB",
        ),
        (
            "history: {max_bytes: -1}\n",
            "5:22: history.max_bytes: -1 is no size of 1 MB or more; write one such as 500MB",
        ),
        ("history: {keep: 0s}\n", "5:17: history.keep: "),
        ("history: {days: 7}\n", "5:11: history.days: is not a key"),
    ],
)
def test_what_history_cannot_be_is_refused(write: Write, more: str, line: str) -> None:
    """With its place, and what to write instead."""
    (problem,) = problems(write(more))
    assert f"medic.yaml:{line}" in problem


def test_unknown_variables_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with our prefix; others are none of our business."""
    monkeypatch.setenv("RESTATE_MEDIC_INTERVALL", "5s")
    monkeypatch.setenv("RESTATE_SOMETHING", "5s")
    monkeypatch.setenv("RESTATE_MEDIC_SERVICE_URL", "http://w:9080")  # for redeploy
    assert problems(write()) == [
        (
            "environment variable RESTATE_MEDIC_INTERVALL is not known; did you mean"
            " 'RESTATE_MEDIC_INTERVAL'?; unset it"
        )
    ]


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("INTERVAL", "abc", "RESTATE_MEDIC_INTERVAL: interval: 'abc' is not a duration"),
        ("STORAGE__URL", "x", "RESTATE_MEDIC_STORAGE__URL: storage.url: is no database"),
        ("STORAGE__ULR", "x", "RESTATE_MEDIC_STORAGE__ULR: storage.ulr: is not a key"),
        ("POLICIES", "a.yaml", 'RESTATE_MEDIC_POLICIES: is not JSON; write ["one", "another"]'),
        ("STORAGE", "x", 'RESTATE_MEDIC_STORAGE: is not JSON; write {"key": "value"}'),
        ("TARGETS", "[{}]", "RESTATE_MEDIC_TARGETS: targets[0].name: is missing"),
        ("NOTIFIERS", "x", 'RESTATE_MEDIC_NOTIFIERS: is not JSON; write {"key": "value"}'),
        ("HISTORY", "x", 'RESTATE_MEDIC_HISTORY: is not JSON; write {"key": "value"}'),
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
def test_a_bad_variable_is_named(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    line: str,
    in_file: bool,
) -> None:
    """Not the file's line, which is right or not even there."""
    monkeypatch.setenv(f"RESTATE_MEDIC_{variable}", value)
    more = "interval: 15s\nstorage: {url: 'sqlite:///a.db'}\npolicies: []\n"
    assert problems(write(more if in_file else ""))[0].startswith(line)


def test_a_bad_flag_is_named(write: Write) -> None:
    """Although the file has a good value for the same key."""
    (line,) = problems(write("max_mode: observe\n"), max_mode="act")
    assert line.startswith("command line: max_mode: 'act' is not possible; write 'off'")


@pytest.mark.parametrize(
    "keys", [tuple(Settings.model_fields), ("targets", 0, *TargetSettings.model_fields)]
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_value_of_any_key_crashes(
    tmp_path: Path, keys: tuple[Any, ...], data: st.DataObject
) -> None:
    """Whatever JSON stands there: it is used, or it is told with its line and column."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    texts = st.sampled_from(["", "a", "5s", "http://h", "http://[", "*.yaml", "sqlite:///x"])
    value = data.draw(
        st.recursive(
            scalars | texts,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
            max_leaves=4,
        )
    )
    target: dict[str, Any] = {"name": "p", "ingress_url": "http://h:1", "admin_url": "http://h:2"}
    tree: dict[str, Any] = {"targets": [target]}
    key = data.draw(st.sampled_from([k for k in keys if isinstance(k, str)]))
    (target if keys[:2] == ("targets", 0) else tree)[key] = value
    file = tmp_path / "medic.yaml"
    file.write_text(json.dumps(tree), encoding="utf-8")
    try:
        load(file).fingerprint()
    except ConfigurationError as error:
        told = error.problems
    else:
        told = []
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: .", line) for line in told)


# Notifiers


def test_notifiers_have_a_secret_webhook_and_a_format(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's format unless another is wanted; a relative file is beside the configuration."""
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T/B/x\n")
    monkeypatch.setenv("NIGHT_HOOK", "http://alerts.internal/in?sig=1")
    more = "notifiers:\n  ops: {webhook: {file: hook}}\n  night: {webhook: {env: NIGHT_HOOK}, %s}\n"
    found = load(write(more % "format: json"))
    assert {n: one.format for n, one in found.settings.notifiers.items()} == {
        "ops": "slack",
        "night": "json",
    }
    ref = found.settings.notifiers["ops"].webhook
    assert TokenSource(ref)() == "https://hooks.slack.com/services/T/B/x"
    before = found.fingerprint()
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T/B/y\n")
    assert found.fingerprint() != before


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("{webhook: https://h/x}", "5:28: notifiers.ops.webhook: a secret is never written here"),
        ("{}", "5:18: notifiers.ops.webhook: is missing; write it"),
        ("{webhook: {file: gone}}", "5:28: notifiers.ops.webhook: the secret file"),
        ("{webhook: {env: HOOK}}", "notifiers.ops.webhook: the webhook's secret is not an http(s)"),
        ("{webhook: {env: FAKE}}", "notifiers.ops.webhook: the webhook's secret is a placeholder"),
        ("{webhook: {env: GOOD}, format: teams}", "'teams' is not possible; write 'slack' or"),
        ("{webhook: {env: GOOD}, formt: json}", "not a key of the configuration; did you mean 'fo"),
        ("{webhook: {envv: GOOD}}", "webhook.envv: is not a key of the configuration; did you"),
        ("[]", "5:18: notifiers.ops: is not a mapping; write key: value"),
    ],
)
def test_a_notifier_that_cannot_work_is_refused_and_its_url_is_not_told(
    write: Write, monkeypatch: pytest.MonkeyPatch, more: str, line: str
) -> None:
    """With place and mend, as everywhere; what the secret holds is in no message."""
    monkeypatch.setenv("HOOK", "ftp://hidden-host/hidden")
    monkeypatch.setenv("FAKE", "https://example.com/hidden")
    monkeypatch.setenv("GOOD", "https://hidden-host/hidden")
    found = problems(write(f"notifiers: {{ops: {more}}}\n"))
    assert any(line in one for one in found), found
    assert "hidden" not in "".join(found)


def test_a_daily_report_has_a_notifier_and_a_clock(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven o'clock UTC, and a day back, unless something else is written."""
    monkeypatch.setenv("GOOD", "https://h/x")
    ops = "notifiers: {ops: {webhook: {env: GOOD}}}\n"
    found = load(write(ops + "report: {notifier: ops}\n")).settings.report
    assert found is not None
    assert (found.at, found.zone.key, found.since.days) == ("07:00", "UTC", 1)
    text = 'report: {notifier: ops, at: "06:30", timezone: Europe/Berlin, since: 12h}\n'
    other = load(write(ops + text)).settings.report
    assert other is not None
    assert (other.time.isoformat(), other.zone.key) == ("06:30:00", "Europe/Berlin")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("{notifier: opps}", "6:20: report.notifier: there is no notifier 'opps'; did you mean"),
        ("{}", "report.notifier: is missing; write it"),
        ("{notifier: ops, at: 7:00}", "'7:00' is not a time; write \"07:00\""),
        ("{notifier: ops, timezone: Berlin}", "'Berlin' is not a time zone"),
        ("{notifier: ops, since: 0s}", "report.since: '0s' is zero"),
        ("{notifier: ops, every: day}", "report.every: is not a key of the configuration"),
    ],
)
def test_a_report_that_cannot_be_sent_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, more: str, line: str
) -> None:
    """With place and mend, as everywhere."""
    monkeypatch.setenv("GOOD", "https://h/x")
    text = f"notifiers: {{ops: {{webhook: {{env: GOOD}}}}}}\nreport: {more}\n"
    found = problems(write(text))
    assert any(line in one for one in found), found


def test_keys_of_the_ledger_are_secrets(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the configuration, or in the environment; too short a one is refused, untold."""
    (tmp_path / "new").write_text("n" * 32)
    (tmp_path / "old").write_text("o" * 40)
    keys = "storage: {hmac_key: {file: new}, old_hmac_keys: [{file: old}]}\n"
    found = load(write(keys)).ledger_keys
    assert found == ChainKeys(ChainKey(b"n" * 32), (ChainKey(b"o" * 40),))
    monkeypatch.setenv("SHORT", "hidden")
    for text, place in (
        ("storage: {hmac_key: {env: SHORT}}\n", "storage.hmac_key: the key is too short; write 32"),
        ("storage: {old_hmac_keys: [{env: SHORT}]}\n", "storage.old_hmac_keys"),
        ("storage: {hmac_key: nnnnnnnn}\n", "storage.hmac_key: a secret is never written here"),
        ("storage: {hmac_key: {fil: new}}\n", "did you mean 'file'"),
    ):
        lines = problems(write(text))
        assert any(place in line for line in lines), lines
        assert "hidden" not in "".join(lines)


def test_a_notifiers_name_is_a_label(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is made of what names are made of."""
    monkeypatch.setenv("GOOD", "https://h/x")
    (line,) = problems(write("notifiers: {'o p s': {webhook: {env: GOOD}}}\n"))
    assert "notifiers.o p s: 'o p s' is not a name; use letters, digits" in line


# Secrets


def test_a_secret_is_never_written_in_the_file(write: Write) -> None:
    """Only where it is kept; what was written is not repeated."""
    (line,) = problems(write("    admin_token: key_abcdefghijklmnop\n"))
    assert line == (
        "medic.yaml:5:18: targets[0].admin_token: a secret is never written here;"
        " write {env: NAME} or {file: PATH}"
    )


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("{env: MISSING}", "the environment variable MISSING is not set"),
        ("{env: BLANK}", "the environment variable BLANK is not set"),
        ("{file: none}", "none cannot be read: FileNotFoundError"),
        ("{file: empty}", "empty is empty"),
        ("{file: binary}", "binary cannot be read: UnicodeDecodeError"),
        ("{}", "write exactly one of {env: NAME} and {file: PATH}"),
        ("{env: A, file: b}", "write exactly one of {env: NAME} and {file: PATH}"),
    ],
)
@pytest.mark.parametrize("key", ["admin_token", "ingress_token"])
def test_a_secret_that_is_not_there(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, ref: str, why: str
) -> None:
    """Told when it is loaded, not by a target that is unauthorized at night."""
    monkeypatch.setenv("BLANK", " \n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    (line,) = problems(write(f"    {key}: {ref}\n"))
    assert line.startswith("medic.yaml:5:")
    assert line.endswith(why)


@pytest.mark.parametrize("source", ["env", "file"])
def test_a_jwt_is_for_the_admin_api_only(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """At the ingress it would be unauthorized for ever; the explanation says what it wants."""
    monkeypatch.setenv("SSO", JWT)
    (tmp_path / "sso").write_text(JWT)
    ref = "{env: SSO}" if source == "env" else "{file: sso}"
    (line,) = problems(write(f"    ingress_token: {ref}\n"))
    assert line.startswith("medic.yaml:5:20: targets[0].ingress_token: this is a JWT")
    assert "the ingress wants the API key that begins with key_" in line
    assert JWT not in line
    assert load(write(f"    admin_token: {ref}\n")).targets


@pytest.mark.parametrize(
    ("admin", "ingress", "words"),
    [
        ("key_hunter2hunter2", None, "is an API key (key_…); the admin API takes it only with"),
        ("key_hunter2hunter2", "key_hunter2hunter2", "is the ingress_token's API key"),
        (jwt({"exp": 1_700_000_000}), None, "is a JWT that expired at 2023-11-14 22:13:20Z"),
        (jwt({"exp": 4_000_000_000}), None, None),
        (jwt({}), "key_hunter2hunter2", None),
        ("of-a-proxy", None, None),
        (None, "key_hunter2hunter2", None),
    ],
)
def test_a_token_the_admin_api_will_hardly_take_is_told(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    admin: str | None,
    ingress: str | None,
    words: str | None,
) -> None:
    """A note, no error: an API key may have the role, a clock may be wrong. Without the token."""
    more = ""
    for key, token in (("admin_token", admin), ("ingress_token", ingress)):
        if token is not None:
            monkeypatch.setenv(key.upper(), token)
            more += f"    {key}: {{env: {key.upper()}}}\n"
    notes = load(write(more)).notes(datetime(2026, 11, 20, tzinfo=UTC))
    assert len(notes) == (words is not None)
    if words is not None:
        assert notes[0].startswith("targets[0].admin_token: ")
        assert words in notes[0]
    assert "hunter2" not in "".join(notes)
    assert "eyJh" not in "".join(notes)


def test_no_problem_repeats_a_secret(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the user info of a URL that is wrong otherwise, nor a token in the wrong place."""
    url = "htp://medic:hunter2hunter2@h:9070"
    monkeypatch.setenv("RESTATE_MEDIC_MAX_MODE", "key_hunter2hunter2")
    more = "log_level: key_hunter2hunter2\n"
    found = problems(write(more, target=TARGET.replace("http://h:9070", url)))
    assert len(found) == 3
    assert "hunter2" not in "".join(found)
    assert "'htp://REDACTED@h:9070' is not a URL" in "".join(found)


def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    """After a reload or an unauthorized call; one that is being replaced keeps the old value."""
    file = tmp_path / "token"
    file.write_text("key_old\n")
    token = TokenSource(SecretRef(file=file))
    file.write_text(" key_new \n")
    assert token() == "key_old"
    token.refresh()
    assert token() == "key_new"
    for broken in (lambda: file.write_text(""), file.unlink):
        broken()
        token.refresh()
        assert token() == "key_new"
    nothing = TokenSource(None)
    nothing.refresh()
    assert nothing() is None


# Changed content


@pytest.fixture
def watched(write: Write, tmp_path: Path) -> tuple[Configuration, Path]:
    """A configuration with policies and a secret, and its folder."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text("policies: []\n")
    (tmp_path / "token").write_text("key_abcdefghijkl")
    return load(write("    admin_token: {file: token}\n")), tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("medic.yaml", "targets: []\n"),
        ("policies/a.yaml", "policies: [{}]\n"),
        ("policies/b.yaml", "policies: []\n"),
        ("policies/c.yml", "policies: []\n"),
        ("token", "key_mnopqrstuvwx"),
    ],
)
def test_the_fingerprint_changes_with_the_content(
    watched: tuple[Configuration, Path], name: str, text: str
) -> None:
    """Of the file, of each policy, of one that is new, and of each secret."""
    found, folder = watched
    before = found.fingerprint()
    (folder / name).write_text(text)
    assert found.fingerprint() != before


@pytest.mark.parametrize("name", ["medic.yaml", "policies/a.yaml", "token"])
def test_a_file_that_vanishes_changes_the_fingerprint(
    watched: tuple[Configuration, Path], name: str
) -> None:
    """Unreadable counts as content; it is not an error here."""
    found, folder = watched
    before = found.fingerprint()
    (folder / name).unlink()
    assert found.fingerprint() != before


def test_touching_changes_nothing(watched: tuple[Configuration, Path]) -> None:
    """Times do not count, nor what lies beside."""
    found, folder = watched
    before = found.fingerprint()
    os.utime(folder / "medic.yaml", (1, 1))
    (folder / "notes.txt").write_text("x")
    (folder / "policies" / "notes.txt").write_text("x")
    assert found.fingerprint() == before


def test_a_swapped_link_changes_the_fingerprint(tmp_path: Path) -> None:
    """As a ConfigMap is updated: the files stay links, what they lead to is another folder."""
    for name, interval in (("one", "10s"), ("two", "20s")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "medic.yaml").write_text(f"{TARGET}interval: {interval}\n")
        (tmp_path / name / "p.yaml").write_text("policies: []\n")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "medic.yaml").symlink_to("..data/medic.yaml")
    found = load(tmp_path / "medic.yaml")
    before = found.fingerprint()
    (tmp_path / "..tmp").symlink_to("two")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert found.fingerprint() != before
    assert load(tmp_path / "medic.yaml").settings.interval == 20 * SECOND


def test_a_folder_of_policies_is_watched(write: Write, tmp_path: Path) -> None:
    """Named as a folder, as a pattern, or as one file."""
    (tmp_path / "more").mkdir()
    (tmp_path / "one.yaml").write_text("policies: []\n")
    found = load(write(f"policies: [more, '{tmp_path}/x/**/*.yaml', one.yaml]\n"))
    seen = {found.fingerprint()}
    for name in ("more/a.yaml", "x/y/b.yaml", "one.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("policies: [{}]\n")
        seen.add(found.fingerprint())
    assert len(seen) == 4


DALP = "  - {name: remote, dalp: {url: https://platform.internal, api_key: {env: DALP_KEY}%s}%s}\n"


def test_a_target_may_be_reached_through_a_remote_operator_api(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its five components every five minutes unless it says otherwise; the key is only named."""
    monkeypatch.setenv("DALP_KEY", "sm_dalp_operator_1234567890")
    quick = DALP % (", target: eu", ", interval: 30s, service_url: http://w:1")
    other = (DALP % ("", "")).replace("platform", "other")
    configuration = load(write(other + quick.replace("remote", "named")))
    remote, named = configuration.targets[1:]
    assert (remote.kind, named.kind) == ("dalp", "dalp")
    assert remote.intervals == dict.fromkeys(RECOVERY_API_COMPONENTS, timedelta(minutes=5))
    assert named.intervals == dict.fromkeys(RECOVERY_API_COMPONENTS, timedelta(seconds=30))
    assert "sm_dalp" not in repr(configuration)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("    dalp: {url: http://d}\n", "5:11: targets[0].dalp.api_key: is missing"),
        (DALP % ("", ", admin_url: http://a:1"), "targets[1].admin_url: is of a Restate itself"),
        (DALP % ("", ", ingress_token: {env: A_KEY}"), "targets[1].ingress_token: is of a Restate"),
        (DALP % ("", ", drift_interval: 5m"), "targets[1].drift_interval: dalp discovers no"),
        (DALP % ("", ", invocations_interval: 5m"), "targets[1].invocations_interval: one call"),
        (DALP % ("", ", protect: {}"), "targets[1].protect: dalp tells no metadata"),
        (
            DALP % ("", ", heartbeat: {service: H, handler: run, every: 1h}"),
            "targets[1].heartbeat: dalp starts no invocation; remove it, and write it where dalp",
        ),
        (DALP % ("", ", node_url: 'http://h'"), "targets[1].node_url: dalp tells nothing of nodes"),
        (DALP % (", target: a b", ""), "targets[1].dalp.target: 'a b' is not a name"),
        (DALP % (", tenant: a", ""), "targets[1].dalp.tenant: is not a key of the configuration"),
        (
            (DALP % ("", "")).replace("platform.internal", "platform.example.com"),
            "targets[1].dalp.url: 'https://platform.example.com' is a placeholder",
        ),
        (
            (DALP % ("", "")).replace("{env: DALP_KEY}", "sm_dalp"),
            "targets[1].dalp.api_key: a secret is never written here",
        ),
        (
            (DALP % ("", "")).replace("DALP_KEY", "NO_KEY"),
            "targets[1].dalp.api_key: the environment variable NO_KEY is not set",
        ),
        (
            (DALP % ("", "")).replace("DALP_KEY", "BAD_KEY"),
            "targets[1].dalp.api_key: what is kept there is no API key",
        ),
        (
            DALP % ("", "") + (DALP % ("", "")).replace("remote", "again").replace("l,", "l/,"),
            "targets[2].dalp: reaches what target 'remote' reaches too; merge them",
        ),
        (
            DALP % (", target: a", "") + (DALP % (", target: a", "")).replace("remote", "again"),
            "targets[2].dalp: reaches what target 'remote' reaches too; merge them",
        ),
        (
            DALP % (", target: a", "") + (DALP % ("", "")).replace("remote", "again"),
            "targets[2].dalp: reaches what target 'remote' reaches too; write the target: of each",
        ),
    ],
)
def test_a_bad_remote_target_is_told_with_its_place_and_mend(
    write: Write, monkeypatch: pytest.MonkeyPatch, more: str, line: str
) -> None:
    """Reached one way, by a real URL, with a key that is kept elsewhere, and only once."""
    monkeypatch.setenv("DALP_KEY", "sm_dalp_operator_1234567890")
    monkeypatch.setenv("A_KEY", "key_1234567890")
    monkeypatch.setenv("BAD_KEY", "two words")
    found = problems(write(more))
    assert [told for told in found if line in told], found
    assert "sm_dalp_operator" not in str(found)


def test_two_targets_of_one_remote_are_two(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its name there."""
    monkeypatch.setenv("DALP_KEY", "sm_dalp_operator_1234567890")
    again = (DALP % (", target: b", "")).replace("remote", "again")
    assert len(load(write(DALP % (", target: a", "") + again)).targets) == 3


def test_a_key_file_is_beside_the_configuration_and_watched(write: Write, tmp_path: Path) -> None:
    """A rotated key is noticed as any other secret."""
    (tmp_path / "key").write_text("first-key")
    configuration = load(write((DALP % ("", "")).replace("{env: DALP_KEY}", "{file: key}")))
    before = configuration.fingerprint()
    (tmp_path / "key").write_text("second-key")
    assert configuration.fingerprint() != before


def test_an_alertmanager_is_one_that_is_asked_often_enough(write: Write, tmp_path: Path) -> None:
    """Its defaults, its secrets beside the file, and which files a change of is a change."""
    (tmp_path / "token").write_text("t0ken")
    plain = load(write("alertmanager: {url: http://am:9093}\n")).settings.alertmanager
    assert plain is not None
    times = (plain.interval, plain.max_age, plain.warm_up)
    assert times == (15 * SECOND, MINUTE, 2 * MINUTE)
    assert (plain.silences, plain.watched, plain.secrets) == (True, (), ())
    text = """alertmanager:
      url: http://am:9093/path
      token: {file: token}
      watchdog: alertname="Watchdog"
    """
    configuration = load(write(text))
    written = configuration.settings.alertmanager
    assert written is not None
    assert [ref.read() for ref in written.secrets] == ["t0ken"]
    assert [str(matcher) for matcher in written.watched] == ['alertname="Watchdog"']
    before = configuration.fingerprint()
    (tmp_path / "token").write_text("an0ther")
    assert configuration.fingerprint() != before
    basic = "alertmanager: {url: http://am, basic_auth: {username: m, password: {file: token}}}\n"
    found = load(write(basic)).settings.alertmanager
    assert found is not None
    assert [ref.read() for ref in found.secrets] == ["an0ther"]


@pytest.mark.parametrize(
    ("section", "place", "said"),
    [
        ("{}", "5:15", "alertmanager.url: is missing"),
        ("{url: am:9093}", "5:21", "'am:9093' is not a URL"),
        ("{url: http://am.example.com}", "5:21", "is a placeholder"),
        ("{url: http://am, max_age: 15s}", "5:41", "max_age: is not longer than interval"),
        ("{url: http://am, interval: 1ms}", "5:42", "write 1s or more"),
        ("{url: http://am, token: abc}", "5:39", "a secret is never written here"),
        ("{url: http://am, token: {env: NOPE}}", "5:39", "NOPE is not set"),
        ("{url: http://am, watchdog: Watchdog}", "5:42", "after Watchdog write ="),
        ("{url: http://am, watchdog: \"a=~'('\"}", "5:42", "double quotes"),
        ("{url: http://am, basic_auth: {username: a}}", "5:44", "password: is missing"),
        ("{url: http://am, maxage: 1m}", "5:32", "did you mean 'max_age'?"),
        (
            "{url: http://a, token: {env: HOME}, basic_auth: {username: a, password: {env: HOME}}}",
            "5:63",
            "stands beside token",
        ),
        ("{url: http://u:p4ss@am, token: {env: HOME}}", "5:21", "carries a user name beside"),
    ],
)
def test_an_alertmanager_that_cannot_be_asked_is_refused(
    write: Write, section: str, place: str, said: str
) -> None:
    """At its place, with what to write, and without what is secret in it."""
    found = problems(write(f"alertmanager: {section}\n"))
    assert [line for line in found if line.startswith(f"medic.yaml:{place}: ") and said in line], (
        found
    )
    assert "p4ss" not in str(found)


def test_a_configuration_that_nothing_names_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote it believes that it is read."""
    monkeypatch.chdir(tmp_path)
    assert load(None).notes(datetime(2026, 11, 20, tzinfo=UTC)) == ()
    (tmp_path / "restate-medic.yaml").write_text("targets: []")
    (note,) = load(None).notes(datetime(2026, 11, 20, tzinfo=UTC))
    assert "restate-medic.yaml is here and not read: name it with --config.file" in note
