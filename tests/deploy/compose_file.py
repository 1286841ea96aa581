"""Reads docker-compose.yml as `docker compose` does, with the settings of .env in the place of its variables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
ENV_FILE = CHECKOUT / ".env"
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_][A-Z0-9_]*)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}|\$\$")
_SETTING = re.compile(r"([A-Z_][A-Z0-9_]*)=([^\s#'\"]*)")


def read_env(path: Path = ENV_FILE) -> dict[str, str]:
    """The settings of an .env file, which holds plain values only."""
    settings = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        found = _SETTING.fullmatch(line)
        assert found, f"{path.name}: {line!r} is no NAME=value without quotes, spaces or a comment behind"
        settings[found[1]] = found[2]
    return settings


def interpolate(text: str, settings: Mapping[str, str]) -> str:
    """`text` with its variables replaced.

    Raises:
        KeyError: a variable that must be set is not.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given = settings.get(found["name"], "")
        if given or found["kind"] is None:
            return given
        if found["kind"] == "?":
            raise KeyError(found["name"])
        return str(found["rest"])

    return _VARIABLE.sub(value, text)


def read_compose(**overrides: str) -> dict[str, Any]:
    """The whole file with .env's settings, and those given here before them."""
    text = interpolate(COMPOSE_FILE.read_text(encoding="utf-8"), {**read_env(), **overrides})
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def tracked(*patterns: str) -> list[Path]:
    """Files of the checkout that match, those that are not committed yet among them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    printed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [CHECKOUT / line for line in printed.splitlines() if (CHECKOUT / line).is_file()]


def services_of(compose: Mapping[str, Any], *profiles: str) -> dict[str, dict[str, Any]]:
    """The services that these profiles start."""
    return {
        name: service
        for name, service in compose["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }
