"""Reads the Grafana dashboard as Grafana does: its panels, and its queries with the variables replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.deploy.compose_file import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "grafana"
FILE = FOLDER / "dashboards" / "sightline.json"
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")
_VARIABLE = re.compile(r"\$\{(\w+)(?::regex)?\}|\$(\w+)")


@dataclass(frozen=True)
class Query:
    """A query of a panel."""

    panel: str
    expression: str
    legend: str


def read_dashboard() -> dict[str, Any]:
    """The file as it is."""
    dashboard: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return dashboard


def panels() -> list[dict[str, Any]]:
    """Its panels, without the rows' headings."""
    return [panel for panel in read_dashboard()["panels"] if panel["type"] != "row"]


def panel(title: str) -> dict[str, Any]:
    """The one panel of this title."""
    (found,) = (panel for panel in panels() if panel["title"] == title)
    return found


def substitute(expression: str, values: Mapping[str, str]) -> str:
    """`expression` with its variables replaced by regular expressions.

    Raises:
        KeyError: a variable is not among `values`.
    """
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expression)


def queries(values: Mapping[str, str]) -> Iterator[Query]:
    """Every panel's queries, with these values of the variables."""
    for found in panels():
        for target in found["targets"]:
            yield Query(found["title"], substitute(target["expr"], values), target["legendFormat"])


def variables() -> dict[str, dict[str, Any]]:
    """The variables by name, in the order in which they depend on each other."""
    return {variable["name"]: variable for variable in read_dashboard()["templating"]["list"]}


def label_values(variable: Mapping[str, Any], values: Mapping[str, str]) -> tuple[str, str]:
    """The series that a variable takes its choices from, and the label whose values they are."""
    found = _LABEL_VALUES.fullmatch(substitute(variable["query"]["query"], values))
    assert found, variable["query"]
    return found["selector"], found["label"]


def choices(variable: Mapping[str, Any], label_values: set[str]) -> set[str]:
    """What a user can choose: the values, or what the variable's regular expression takes out of them."""
    regex = variable["regex"].strip("/")
    if not regex:
        return label_values
    matches = (re.search(regex, value) for value in label_values)
    return {match[1] for match in matches if match}
