"""What the configuration says of heartbeats, nodes, target files and the metrics' path."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.component import Component
from exporter.model.errors import ConfigurationError
from exporter.model.heartbeat import Heartbeat
from exporter.settings.load import Configuration, load

OWN = "targets: [{name: own, ingress_url: 'http://h:1', admin_url: 'http://h:2'}]\n"
TARGET = "{name: a, ingress_url: 'http://h:3', admin_url: 'http://h:4'%s}"


def written(folder: Path, text: str, **files: str) -> Path:
    """The configuration, and files in ``targets/`` beside it; ``_`` in their names is a dot."""
    (folder / "targets").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "targets" / name.replace("_", ".")).write_text(content)
    file = folder / "medic.yaml"
    file.write_text(text)
    return file


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    return [line.replace(f"{file.parent}/", "") for line in raised.value.problems]


def names(configuration: Configuration) -> list[str]:
    return [target.name for target in configuration.targets]


# Heartbeat and node


def test_a_heartbeat_and_a_node_are_read_and_off_without(tmp_path: Path) -> None:
    """The heartbeat is looked at as often as the ingress; the node is read with the scans."""
    heart = ", heartbeat: {service: H, handler: run, every: 6h}, node_url: 'http://h:5122'"
    both = load(written(tmp_path, f"targets: [{TARGET % heart}]")).targets[0]
    wanted = Heartbeat("H", "run", timedelta(hours=6), timedelta(seconds=30))
    assert both.heartbeat == wanted
    assert both.intervals[Component.HEARTBEAT] == timedelta(seconds=15)
    assert both.intervals[Component.NODE] == timedelta(seconds=60)
    without = load(written(tmp_path, OWN)).targets[0]
    assert without.heartbeat is None
    assert {Component.HEARTBEAT, Component.NODE}.isdisjoint(without.intervals)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("heartbeat: {service: H, handler: run}", "heartbeat.every: is missing; write it"),
        ("heartbeat: {handler: run, every: 6h}", "heartbeat.service: is missing; write it"),
        ("heartbeat: {service: '', handler: run, every: 6h}", "heartbeat.service: is empty"),
        (
            "heartbeat: {service: H, handler: run, every: 1m, within: 2m}",
            "heartbeat.within: is longer than every, so one would wait for the other; write 1m or",
        ),
        ("heartbeat: {service: H, handler: run, every: 0}", "heartbeat.every: 0 is"),
        ("heartbeat: {servise: H}", "is not a key of the configuration; did you mean 'service'?"),
        ("heartbeat: yes", "heartbeat: is not a mapping; write key: value"),
        ("node_url: h:5122", "node_url: 'h:5122' is not a URL; write http://host:port"),
    ],
)
def test_a_bad_heartbeat_or_node_is_refused(tmp_path: Path, more: str, said: str) -> None:
    """With the place and what to write."""
    found = problems(written(tmp_path, f"targets:\n  - {TARGET % (', ' + more)}\n"))
    assert any(line.startswith("medic.yaml:2:") and said in line for line in found), found


# Target files


def test_targets_come_from_files_after_the_own_ones(tmp_path: Path) -> None:
    """YAML and JSON, in the patterns' order, each file once however many patterns fit it."""
    file = written(
        tmp_path,
        f'{OWN}target_files: ["targets/*.json", targets/b.yaml, "targets/*.yaml"]\n',
        a_yaml=f"- {TARGET % ''}",
        b_yaml="- {name: b, ingress_url: 'http://h:5', admin_url: 'http://h:6'}",
        c_json=json.dumps(
            [{"name": "c", "ingress_url": "http://h:7", "admin_url": "http://h:8"}], indent="\t"
        ),
        d_json="[]",
    )
    assert names(load(file)) == ["own", "c", "b", "a"]


def test_files_may_bring_all_targets(tmp_path: Path) -> None:
    """Then the configuration names none itself."""
    file = written(tmp_path, "target_files: ['targets/*.yaml']\n", a_yaml=f"- {TARGET % ''}")
    assert names(load(file)) == ["a"]


def test_secrets_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    """A file of targets can be moved with its secrets."""
    token = "- " + TARGET % ", admin_token: {file: token}"
    file = written(tmp_path, "target_files: ['targets/*.yaml']\n", a_yaml=token, token="eyJx")
    (ref,) = load(file).settings.targets[0].secrets
    assert ref.read() == "eyJx"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", ["targets/a.yaml:1:1: must be a list of targets; write - {name: …"]),
        ("{}", ["targets/a.yaml:1:1: must be a list of targets; write - {name: …"]),
        ("- [", ["targets/a.yaml:1:4: is not YAML: "]),
        ("- {name: x}", ["targets/a.yaml:1:3: [0].ingress_url: is missing", "[0].admin_url"]),
        (f"- {TARGET % ', intervall: 3s'}", ["targets/a.yaml:1:", "did you mean 'interval'?"]),
        (f"- {TARGET % ', name: b'}", ["targets/a.yaml:1:", "is written twice"]),
        (
            "- {name: own, ingress_url: 'http://h:3', admin_url: 'http://h:4'}",
            ["targets/a.yaml:1:10: [0].name: two targets are named 'own'; rename one"],
        ),
        (
            f"- {TARGET % ''}\n- {{name: b, ingress_url: 'http://h:9', admin_url: 'http://h:2'}}",
            ["targets/a.yaml:2:", "[1].admin_url: is that of target 'own' too"],
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_place(
    tmp_path: Path, content: str, lines: list[str]
) -> None:
    """Also what two targets share, whichever files they are in."""
    file = written(tmp_path, f"{OWN}target_files: ['targets/*.yaml']\n", a_yaml=content)
    found = "\n".join(problems(file))
    assert all(line in found for line in lines), found


def test_a_variable_of_the_whole_is_not_taken_for_a_target_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of what is wrong in a file is in that file."""
    monkeypatch.setenv("RESTATE_MEDIC_INTERVAL", "5s")
    bad = f"- {TARGET % ', interval: x'}"
    file = written(tmp_path, "target_files: ['targets/*.yaml']\n", a_yaml=bad)
    assert problems(file)[0].startswith("targets/a.yaml:1:")


def test_no_target_at_all_is_refused(tmp_path: Path) -> None:
    """An empty pattern is fine beside targets, and nothing to run on without."""
    assert names(load(written(tmp_path, f"{OWN}target_files: ['none/*.yaml']\n"))) == ["own"]
    assert problems(written(tmp_path, "target_files: ['none/*.yaml']\n")) == [
        (
            "medic.yaml:1:15: target_files: name no target, and neither does targets; "
            "write targets: [{name: …, ingress_url: …, admin_url: …}]"
        )
    ]
    missing = problems(written(tmp_path, f"{OWN}target_files: [none.yaml]\n"))
    assert missing == [
        (
            "medic.yaml:2:16: target_files: none.yaml: cannot be read (No such file or directory);"
            " name an existing file"
        )
    ]


def test_a_change_of_any_of_the_files_is_seen(tmp_path: Path) -> None:
    """Changed, added and removed files, as what the reload goes by."""
    file = written(tmp_path, f"{OWN}target_files: ['targets/*.yaml']\n", a_yaml="[]")
    configuration = load(file)
    seen = {configuration.fingerprint()}
    written(tmp_path, file.read_text(), a_yaml=f"- {TARGET % ''}")
    seen.add(configuration.fingerprint())
    written(tmp_path, file.read_text(), b_yaml="[]")
    seen.add(configuration.fingerprint())
    (tmp_path / "targets" / "a.yaml").unlink()
    seen.add(configuration.fingerprint())
    assert len(seen) == 4


# Where the metrics are


@pytest.mark.parametrize("path", ["/metrics", "/restate/medic.metrics", "/m"])
def test_metrics_may_be_elsewhere(tmp_path: Path, path: str) -> None:
    """By the flag as by the key of the file."""
    flagged = load(written(tmp_path, OWN), flags={"web_telemetry_path": path})
    assert flagged.settings.web_telemetry_path == path
    found = load(written(tmp_path, f"{OWN}web_telemetry_path: {path}\n"))
    assert found.settings.web_telemetry_path == path


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("metrics", "is not a path"),
        ("/", "is not a path"),
        ("/metrics/", "is not a path"),
        ("/a?b", "is not a path"),
        ("/-/metrics", "is the place of something else"),
        ("/api/v1", "is the place of something else"),
        ("/targets", "is the place of something else"),
    ],
)
def test_a_path_that_is_taken_or_none_is_refused(tmp_path: Path, path: str, said: str) -> None:
    """The page and the API keep their places."""
    (found,) = problems(written(tmp_path, f"{OWN}web_telemetry_path: '{path}'\n"))
    assert said in found
