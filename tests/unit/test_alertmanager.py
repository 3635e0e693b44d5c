"""Reading Alertmanager: what it tells is understood, and what fails is never "nothing fires"."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.alertmanager import AlertmanagerApi, AlertWatch, Source
from exporter.alertmanager.api import MAX_BYTES
from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.policy.alarms import Alert, Heard
from exporter.policy.matchers import Matcher, Sign
from exporter.transport import Transport, authorization
from tests.unit import hostile
from tests.unit.policy_scenes import NOW

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
QUICK = timedelta(seconds=1)
STARTED = "2026-11-01T03:00:00.123456789Z"
STATUS: dict[str, Any] = {"uptime": STARTED, "cluster": {"status": "ready"}, "config": {}}
ALERT: dict[str, Any] = {
    "labels": {"alertname": "DiskFull", "severity": "critical"},
    "annotations": {},
    "startsAt": "2026-11-02T02:00:00.000Z",
    "endsAt": "2026-11-02T04:00:00.000Z",
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}
SILENCE: dict[str, Any] = {
    "id": "3d5b",
    "matchers": [{"name": "target", "value": "prod", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-11-02T02:00:00.000Z",
    "endsAt": "2026-11-02T04:00:00.000Z",
    "createdBy": "mira",
    "comment": "migration",
    "status": {"state": "active"},
}


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    """The same, with one field missing."""
    first, *rest = path
    if rest:
        return {**body, first: without(body[first], *rest)}
    return {name: value for name, value in body.items() if name != first}


@dataclass
class Fake:
    """An Alertmanager whose answers a test sets; each path has its own."""

    status: object = field(default_factory=lambda: STATUS)
    alerts: object = field(default_factory=lambda: [ALERT])
    silences: object = field(default_factory=list)
    replies: dict[str, hostile.Reply] = field(default_factory=dict)
    date: datetime | None = NOW

    async def __call__(self, request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        what = request.path.rpartition("/")[2].partition("?")[0]
        usual = hostile.json_answer(getattr(self, what))
        if self.date is not None:
            date = format_datetime(self.date, usegmt=True)
            usual = hostile.json_answer(getattr(self, what), date=date)
        await self.replies.get(what, usual)(request, writer)


@asynccontextmanager
async def reading(fake: Fake, **options: Any) -> AsyncIterator[tuple[AlertmanagerApi, Any]]:
    """An API client of the fake, and the server behind it."""
    async with hostile.serving(fake) as server, Transport() as transport:
        given_: dict[str, Any] = {"warm_up": 2 * MINUTE, "timeout": QUICK, **options}
        yield AlertmanagerApi(transport, url=f"{server.url}/am/", **given_), server


async def read(fake: Fake, **options: Any) -> Heard:
    async with reading(fake, **options) as (api, _):
        return await api.read(NOW)


async def failure(fake: Fake, **options: Any) -> CallFailedError:
    with pytest.raises(CallFailedError) as caught:
        await read(fake, **options)
    return caught.value


async def test_what_fires_and_what_is_silenced_is_read() -> None:
    """Alerts with what silences them, silences in force; with the time at which it began."""
    by = {**ALERT, "status": {**ALERT["status"], "silencedBy": ["3d5b"]}}
    over = {**SILENCE, "id": "old", "status": {"state": "expired"}}
    to_come = {**SILENCE, "id": "new", "status": {"state": "pending"}}
    patterns = [
        {"name": "a", "value": "x.*", "isRegex": True, "isEqual": True},
        {"name": "b", "value": "y", "isRegex": False, "isEqual": False},
        {"name": "c", "value": "z|", "isRegex": True, "isEqual": False},
        {"name": "d", "value": "old", "isRegex": False},
    ]
    some = [over, SILENCE, to_come, {**SILENCE, "id": "p", "matchers": patterns}]
    fake = Fake(alerts=[ALERT, by], silences=some)
    async with reading(fake) as (api, server):
        heard = await api.read(NOW)
    assert heard.read_at == NOW
    labels, since = ALERT["labels"], NOW - HOUR
    assert heard.alerts == (
        Alert(labels, since, name="DiskFull"),
        Alert(labels, since, ("3d5b",), "DiskFull"),
    )
    first, second = heard.silences
    assert (first.id, first.author, first.comment, first.until) == (
        *("3d5b", "mira", "migration"),
        NOW + HOUR,
    )
    assert first.matchers == (Matcher("target", Sign.EQUAL, "prod"),)
    assert [m.sign for m in second.matchers] == [
        *(Sign.REGEX, Sign.NOT_EQUAL, Sign.NOT_REGEX),
        Sign.EQUAL,
    ]
    assert [r.path.partition("?")[0] for r in server.requests] == [
        *("/am/api/v2/status", "/am/api/v2/alerts", "/am/api/v2/silences")
    ]
    assert "inhibited=true" in server.requests[1].path


HTML = "<html><title>Sign in</title></html>"
BAD: dict[str, tuple[hostile.Reply, Reason]] = {
    "html": (hostile.answer(body=HTML, content_type="text/html"), Reason.BAD_BODY),
    "redirect": (hostile.answer(302, HTML, location="/login"), Reason.HTTP_STATUS),
    "unauthorized": (hostile.answer(401, "no"), Reason.UNAUTHORIZED),
    "forbidden": (hostile.answer(403, "no"), Reason.UNAUTHORIZED),
    "broken": (hostile.answer(500, "panic"), Reason.HTTP_STATUS),
    "no such route": (hostile.answer(404, "404 page not found"), Reason.HTTP_STATUS),
    "throttled": (hostile.answer(429, "slow down"), Reason.THROTTLED),
    "huge": (hostile.endless(MAX_BYTES + 1), Reason.TOO_LARGE),
    "cut": (hostile.breaks_after(b"[", promised=100), Reason.RESET),
    "slow": (hostile.drip(b"[" * 1000), Reason.TIMEOUT),
    "hangs": (hostile.hang, Reason.TIMEOUT),
    "null": (hostile.answer(body="null"), Reason.BAD_BODY),
    "empty": (hostile.answer(body=""), Reason.BAD_BODY),
    "deep": (hostile.answer(body="[" * 100_000), Reason.BAD_BODY),
    "number": (hostile.answer(body="[1]"), Reason.BAD_BODY),
}


@pytest.mark.parametrize("what", ["status", "alerts", "silences"])
@pytest.mark.parametrize(("reply", "reason"), BAD.values(), ids=BAD)
async def test_a_bad_answer_fails_the_whole_reading(
    what: str, reply: hostile.Reply, reason: Reason
) -> None:
    """Whichever of the three it is: half of what Alertmanager knows is not what it knows."""
    assert (await failure(Fake(replies={what: reply}))).reason is reason


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("status", without(STATUS, "uptime")),
        ("status", without(STATUS, "cluster")),
        ("status", {**STATUS, "cluster": {"status": "lost"}}),
        ("status", {**STATUS, "uptime": "2026-11-01T03:00:00"}),
        ("alerts", {"data": [ALERT]}),
        ("alerts", [without(ALERT, "labels")]),
        ("alerts", [{**ALERT, "labels": {"a": 1}}]),
        ("alerts", [without(ALERT, "startsAt")]),
        ("alerts", [without(ALERT, "status")]),
        ("alerts", [without(ALERT, "status", "silencedBy")]),
        ("alerts", [ALERT, without(ALERT, "status")]),
        ("silences", [without(SILENCE, "matchers")]),
        ("silences", [{**SILENCE, "matchers": []}]),
        ("silences", [{**SILENCE, "matchers": [{"name": "a", "value": "b"}]}]),
        ("silences", [without(SILENCE, "status")]),
        ("silences", [without(SILENCE, "endsAt")]),
    ],
)
async def test_a_missing_field_is_no_answer(what: str, body: object) -> None:
    """Nor one of another type: what is not said is not zero, not empty, not false."""
    error = await failure(Fake(**{what: body}))  # type: ignore[arg-type]
    assert (error.reason, "not Alertmanager's" in str(error)) == (Reason.BAD_BODY, True)


async def test_nobody_there() -> None:
    """A port that nobody listens on."""
    async with Transport() as transport:
        api = AlertmanagerApi(transport, url="http://127.0.0.1:1", warm_up=MINUTE)
        with pytest.raises(CallFailedError) as caught:
            await api.read(NOW)
    assert caught.value.reason is Reason.REFUSED


async def test_right_after_its_start_it_does_not_know() -> None:
    """It keeps alerts in memory: until they are sent again, an empty list is no news."""
    young = {**STATUS, "uptime": (NOW - 2 * MINUTE + QUICK).isoformat()}
    error = await failure(Fake(status=young, alerts=[]))
    assert "it was started 1m59s ago" in str(error)
    assert (await read(Fake(status={**young, "uptime": (NOW - 2 * MINUTE).isoformat()}))).alerts


async def test_its_age_is_told_by_its_own_clock() -> None:
    """Which may be hours from ours; without a date in the answer, ours has to do."""
    ahead = {**STATUS, "uptime": (NOW + 3 * HOUR).isoformat()}
    assert (await read(Fake(status=ahead, date=NOW + 4 * HOUR))).alerts
    error = await failure(Fake(status=ahead, date=NOW + 3 * HOUR))
    assert "it was started 0s ago" in str(error)
    await failure(Fake(status=ahead, date=None))


async def test_a_cluster_that_settles_may_miss_silences() -> None:
    """They are told by its peers."""
    error = await failure(Fake(status={**STATUS, "cluster": {"status": "settling"}}))
    assert "settling" in str(error)
    assert (await read(Fake(status={**STATUS, "cluster": {"status": "disabled"}}))).alerts


async def test_without_its_watchdog_nothing_is_believed() -> None:
    """An alert that always fires is missing: perhaps Prometheus cannot reach Alertmanager."""
    watchdog = (Matcher("alertname", Sign.EQUAL, "Watchdog"),)
    error = await failure(Fake(), watchdog=watchdog)
    assert 'the watchdog alertname="Watchdog" does not fire' in str(error)
    fires = {**ALERT, "labels": {"alertname": "Watchdog"}}
    silent = {**fires, "status": {**ALERT["status"], "silencedBy": ["x"]}}
    for one in (fires, silent):
        assert (await read(Fake(alerts=[one]), watchdog=watchdog)).alerts


async def test_foreign_text_is_bounded_and_free_of_secrets() -> None:
    """Whoever makes a silence writes it; it ends in logs, metrics, ledger and pages."""
    comment = "see http://u:p4ss@wiki/x\n\x1b[31m" + "y" * 1000
    silence = {**SILENCE, "comment": comment, "createdBy": comment, "id": comment}
    fires = {**ALERT, "labels": {"alertname": comment}}
    heard = await read(Fake(alerts=[fires], silences=[silence]))
    (found,), (alert,) = heard.silences, heard.alerts
    assert alert.labels["alertname"] == comment
    for text in (found.comment, found.author, found.id, alert.name):
        assert "p4ss" not in text
        assert "\n" not in text
        assert "\x1b" not in text
        assert len(text) <= 160


@pytest.mark.parametrize(
    ("secret", "user", "wanted"),
    [
        (None, None, None),
        ("t0ken", None, "Bearer t0ken"),
        ("pass:word", "medic", "Basic " + base64.b64encode(b"medic:pass:word").decode()),
    ],
)
async def test_who_we_are_is_sent(secret: str | None, user: str | None, wanted: str | None) -> None:
    """A bearer token, or a name and a password; with every call, and in no error."""
    fake = Fake(replies={"silences": hostile.answer(403, f"no {secret}")})
    async with reading(fake, authorization=lambda: authorization(secret, user)) as (api, server):
        with pytest.raises(CallFailedError):
            await api.read(NOW)
    assert [r.headers.get("authorization") for r in server.requests] == [wanted] * 3


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
bodies = st.sampled_from([STATUS, [ALERT], [SILENCE], [], {}]) | json_values


@settings(max_examples=60)
@given(bodies, bodies, bodies)
def test_no_answer_crashes_the_reader(status: Any, alerts: Any, silences: Any) -> None:
    """A reading, or one kind of error; a reading only of lists."""
    fake = Fake(status, alerts, silences)

    async def once() -> Heard | None:
        try:
            return await read(fake)
        except CallFailedError:
            return None

    heard = asyncio.run(once())
    if heard is not None:
        assert isinstance(alerts, list)
        assert isinstance(silences, list)
        assert len(heard.alerts) == len(alerts)


# The watch


@dataclass
class Scripted:
    """Answers readings as it is told; counts them."""

    answers: list[Heard | CallFailedError]
    reads: int = 0
    gate: asyncio.Event | None = None

    async def read(self, now: datetime) -> Heard:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, CallFailedError):
            raise found
        return Heard(now, found.alerts, found.silences)


@dataclass
class Scene:
    """A watch over a scripted Alertmanager, with a clock that a test moves."""

    api: Scripted
    seconds: float = 0.0
    heard: list[datetime | None] = field(default_factory=list)
    refreshed: int = 0

    def __post_init__(self) -> None:
        self.watch = AlertWatch(
            now=lambda: NOW + timedelta(seconds=self.seconds),
            on_heard=self.heard.append,
            clock=lambda: self.seconds,
        )

    def source(self, written: str = "a") -> Source:
        return Source(
            written=written,
            api=self.api,  # type: ignore[arg-type]
            interval=timedelta(seconds=15),
            max_age=MINUTE,
            silences=True,
            refresh_secrets=self._refresh,
        )

    def _refresh(self) -> None:
        self.refreshed += 1


REFUSED = CallFailedError(Reason.REFUSED, "GET http://am: connection refused")
DENIED = CallFailedError(Reason.UNAUTHORIZED, "GET http://am: answered 401")


async def test_it_is_read_once_an_interval_at_most() -> None:
    """However often somebody looks, and however many policies there are."""
    scene = Scene(Scripted([Heard(NOW)]))
    await scene.watch.look()
    assert scene.watch.alarms is None
    scene.watch.configure(scene.source())
    assert scene.watch.alarms is not None
    assert scene.watch.alarms.heard is None
    for _ in range(5):
        await scene.watch.look()
    assert scene.api.reads == 1
    scene.seconds = 14.9
    await scene.watch.look()
    assert scene.api.reads == 1
    scene.seconds = 15
    await scene.watch.look()
    assert scene.api.reads == 2
    assert scene.watch.alarms.heard == Heard(NOW + timedelta(seconds=15))
    assert scene.heard == [None, NOW, NOW + timedelta(seconds=15)]


async def test_a_failure_keeps_the_last_reading_and_says_why() -> None:
    """It grows old by itself; the next success clears what is said."""
    scene = Scene(Scripted([Heard(NOW), REFUSED, REFUSED, Heard(NOW)]))
    scene.watch.configure(scene.source())
    with capture_logs() as logs:
        for scene.seconds in (0, 15, 30, 45):
            await scene.watch.look()
            alarms = scene.watch.alarms
            assert alarms is not None
            assert alarms.heard is not None
            assert alarms.trouble == (str(REFUSED) if scene.seconds in {15, 30} else "")
    assert scene.heard[-1] == NOW + timedelta(seconds=45)
    assert [e["event"] for e in logs] == [
        *("alertmanager.heard", "alertmanager.failed", "alertmanager.heard")
    ]


async def test_secrets_are_read_again_after_unauthorized_and_on_reload() -> None:
    """They are rotated under us."""
    scene = Scene(Scripted([DENIED, Heard(NOW)]))
    scene.watch.configure(scene.source())
    await scene.watch.look()
    assert scene.refreshed == 1
    scene.watch.configure(scene.source())
    assert scene.refreshed == 2


async def test_a_reload_that_changes_nothing_forgets_nothing() -> None:
    """One that names another Alertmanager forgets all, and reads it at once."""
    scene = Scene(Scripted([Heard(NOW, (Alert({"a": "b"}, NOW),))]))
    scene.watch.configure(scene.source())
    await scene.watch.look()
    scene.watch.configure(scene.source())
    assert scene.watch.alarms is not None
    assert scene.watch.alarms.heard is not None
    scene.watch.configure(scene.source("b"))
    assert scene.watch.alarms.heard is None
    await scene.watch.look()
    assert scene.api.reads == 2
    scene.watch.configure(None)
    assert scene.watch.alarms is None
    assert scene.heard == [None, NOW, None, NOW, None]


@pytest.mark.parametrize("answer", [Heard(NOW), REFUSED], ids=["heard", "failed"])
async def test_what_another_one_told_late_is_dropped(answer: Heard | CallFailedError) -> None:
    """A reading that was under way while the configuration changed is of the old one."""
    scene = Scene(Scripted([answer], gate=asyncio.Event()))
    scene.watch.configure(scene.source())
    task = asyncio.ensure_future(scene.watch.look())
    await asyncio.sleep(0)
    scene.watch.configure(scene.source("b"))
    assert scene.api.gate is not None
    scene.api.gate.set()
    await task
    assert scene.watch.alarms is not None
    assert (scene.watch.alarms.heard, scene.watch.alarms.trouble) == (None, "")


def test_a_large_answer_is_read_quickly() -> None:
    """Ten thousand alerts fit, and hold the event loop for less than a blink."""
    labels = {f"label_{n}": f"value-{n}" for n in range(10)}
    many = [{**ALERT, "labels": {**labels, "host": f"h{n}"}} for n in range(10_000)]
    assert len(json.dumps(many)) < MAX_BYTES
    heard = asyncio.run(read(Fake(alerts=many, date=datetime.now(UTC)), timeout=timedelta(10)))
    assert len(heard.alerts) == 10_000
    wanted = (Matcher("host", Sign.EQUAL, "h9999"),)
    assert heard.firing(wanted) == heard.alerts[-1]
