"""`sightline check` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.export.lint_repository import change_config, write_good_repository

from sightline.cli import cli


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_good_repository(tmp_path / "models")


def check(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)])


def break_name(repository: Path) -> None:
    change_config(repository / "tiny_net", lambda config: setattr(config, "name", "other"))


def drop_batching(repository: Path) -> None:
    change_config(repository / "tiny_net", lambda config: config.ClearField("dynamic_batching"))


def test_a_good_repository_passes(repository: Path) -> None:
    shown = check(repository, "--strict")
    assert shown.exit_code == 0
    assert shown.output == f"{repository}: no findings\n"


def test_an_error_fails_and_says_where_and_the_fix(repository: Path) -> None:
    break_name(repository)
    shown = check(repository)
    assert shown.exit_code == 1
    assert "error tiny_net/config.pbtxt:1  [config-name]" in shown.output
    assert 'fix: write name: "tiny_net"' in shown.output
    assert shown.output.endswith(": 1 error\n")


def test_a_warning_fails_only_when_strict(repository: Path) -> None:
    drop_batching(repository)
    assert check(repository).exit_code == 0
    assert check(repository, "--strict").exit_code == 1


def test_findings_are_grouped_by_model(repository: Path) -> None:
    break_name(repository)
    drop_batching(repository)
    lines = check(repository).output.splitlines()
    assert lines.count("tiny_net") == 1
    assert lines[-1].endswith(": 1 error, 1 warning")


def test_json_is_a_list_of_findings(repository: Path) -> None:
    break_name(repository)
    (finding,) = json.loads(check(repository, "--json").output)
    assert finding["rule"] == "config-name"
    assert finding["path"] == "tiny_net/config.pbtxt"
    assert finding["line"] == 1
    assert set(finding) == {"severity", "model", "path", "line", "rule", "message", "fix"}


def test_json_of_a_good_repository_is_an_empty_list(repository: Path) -> None:
    assert json.loads(check(repository, "--json").output) == []


def test_a_missing_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    shown = check(tmp_path / "absent")
    assert shown.exit_code == 1
    assert "is not a folder" in str(shown.exception)
