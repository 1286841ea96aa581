"""Runs Debian's Prometheus with the configuration and the rules of deploy/prometheus, on servers of the test."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from tests.deploy.compose_file import CHECKOUT
from tests.deploy.proxy_process import free_port

FOLDER = CHECKOUT / "deploy" / "prometheus"
CONFIG = FOLDER / "prometheus.yml"
RULES = FOLDER / "rules"
_INTERVAL = "500ms"
_WAIT_SECONDS = 60
_SHORT = "1s"


@dataclass(frozen=True)
class Sample:
    """One element of an instant query's answer."""

    labels: dict[str, str]
    value: float


class QueryError(Exception):
    """Prometheus does not understand the query."""


def read_rules(folder: Path = RULES) -> list[dict[str, Any]]:
    """Every rule of every file."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """The rules that are alerts."""
    return [rule for rule in read_rules() if "alert" in rule]


class PrometheusProcess:
    """A running Prometheus that scrapes twice a second; ready once the object exists.

    Args:
        program: path of `prometheus`.
        folder: where its configuration and data go.
        targets: `HOST:PORT` to scrape instead of those of prometheus.yml.
        extra_jobs: scrape jobs beside its own.
        short: alerts that need not last longer than a second before they fire.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        targets: Mapping[str, str],
        *,
        extra_jobs: Sequence[Mapping[str, Any]] = (),
        short: bool = False,
    ) -> None:
        self._address = f"127.0.0.1:{free_port()}"
        rules = _copy_rules(folder / "rules", short=short)
        config = _adapt({**targets, "localhost:9090": self._address}, rules, extra_jobs)
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        self._log_file = folder / "prometheus.log"
        options = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *options, f"--web.listen-address={self._address}"], stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self.wait_for("up")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PrometheusProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Of its web page and API."""
        return f"http://{self._address}"

    def query(self, expression: str) -> list[Sample]:
        """What an instant query gives now; a scalar is one sample without labels.

        Raises:
            QueryError: it is not PromQL, or cannot be evaluated.
            URLError: no answer, or Prometheus is still starting.
        """
        try:
            data = self._get("query", query=expression)
        except HTTPError as error:
            if error.code not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise
            raise QueryError(f"{expression}: {json.load(error)['error']}") from error
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(found["metric"], float(found["value"][1])) for found in data["result"]]

    def names(self) -> set[str]:
        """Every metric that it has scraped or recorded."""
        return set(self._get("label/__name__/values"))

    def wait_for(self, expression: str, wanted: Callable[[list[Sample]], object] = bool) -> list[Sample]:
        """The first answer to a query that is wanted: by default, one that is not empty."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                found = self.query(expression)
                if wanted(found):
                    return found
            except URLError:
                assert self._process.poll() is None, f"prometheus ended:\n{self._log_file.read_text()[-3000:]}"
                found = []
            assert time.monotonic() < deadline, f"{expression} gives {found}"
            time.sleep(0.1)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=_WAIT_SECONDS)

    def _get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]


def _copy_rules(folder: Path, *, short: bool) -> Path:
    shutil.copytree(RULES, folder)
    for path in folder.glob("*.yml") if short else ():
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = _SHORT
        path.write_text(yaml.safe_dump(rules), encoding="utf-8")
    return folder


def _adapt(targets: Mapping[str, str], rules: Path, extra_jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """prometheus.yml with these targets, and as fast as a test wants it."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), _INTERVAL)
    config["rule_files"] = [str(rules / "*.yml")]
    for job in config["scrape_configs"]:
        for static in job["static_configs"]:
            static["targets"] = [targets[target] for target in static["targets"]]
    config["scrape_configs"] += [dict(job) for job in extra_jobs]
    return config
