"""README, command line and Makefile say the same."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from sightline.cli import COMMANDS, cli

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
CODE = re.compile(r"^```[a-z]*\n(.*?)^```", re.S | re.M)


def invocations(page: Path) -> list[list[str]]:
    """Every `sightline …` line of a page's code blocks, as words, without its comment."""
    lines = [line for block in CODE.findall(page.read_text()) for line in block.replace("\\\n", " ").splitlines()]
    commands = [re.sub(r"\s#.*", "", line).removeprefix("$ ").split() for line in lines]
    found = [words[1:] for words in commands if words and Path(words[0]).name == "sightline"]
    return [words for words in found if words]


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_calls_exists(page: Path) -> None:
    context = click.Context(cli)
    for words in invocations(page):
        if words[0].startswith("-"):
            assert words[0] in options_of(cli)
            continue
        command = cli.get_command(context, words[0])
        assert command, f"{page.name} calls `sightline {words[0]}`, which does not exist"
        if isinstance(command, click.Group) and words[1:]:
            command = command.get_command(context, words[1])
            assert command, f"{page.name} calls `sightline {words[0]} {words[1]}`, which does not exist"
        unknown = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)} - options_of(command)
        assert not unknown, f"{page.name}: `sightline {words[0]}` has no {unknown}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_stands_in_the_readme_with_an_example(name: str) -> None:
    assert name in {words[0] for words in invocations(PAGES[0])}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_helps_with_examples(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Examples" in shown.output
    assert f"sightline {name}" in shown.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_of_a_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (CHECKOUT / "Makefile").read_text(), re.M))
    called = set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", "\n".join(CODE.findall(page.read_text()))))
    assert called <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_readme_has_the_versions_that_go_together() -> None:
    lines = (CHECKOUT / "deploy" / "triton" / "versions.txt").read_text().splitlines()
    wanted = [[cell.strip() for cell in line.split("|")] for line in lines if line[:1].isdigit()]
    rows = [line.strip("|").split("|") for line in PAGES[0].read_text().splitlines() if line.startswith("| 2")]
    assert [[cell.strip() for cell in row] for row in rows] == wanted
    assert len(wanted) >= 5


def test_every_service_of_the_compose_file_is_explained() -> None:
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    text = (CHECKOUT / "docs" / "operations.md").read_text()
    assert not [name for name in services if f"`{name}`" not in text]


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "rules" / "alerts.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    text = (CHECKOUT / "docs" / "operations.md").read_text()
    assert len(alerts) > 5
    assert not [name for name in alerts if f"| {name} " not in text]
