"""The dashboard and its provisioning, as files; tests/deploy/test_prometheus.py asks its queries."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import yaml
from tests.deploy import dashboard
from tests.deploy.compose_file import CHECKOUT, read_compose
from tests.deploy.prometheus_process import CONFIG, alerts, read_rules

PROVISIONING = dashboard.FOLDER / "provisioning"
SOURCES = yaml.safe_load((PROVISIONING / "datasources" / "datasources.yml").read_text(encoding="utf-8"))
PROVIDERS = yaml.safe_load((PROVISIONING / "dashboards" / "dashboards.yml").read_text(encoding="utf-8"))
SCHEMA_VERSION = 42
"""The last version of the classic dashboard JSON, which Grafana 12.2 to 13 read without migration."""
PANEL_TYPES = {"stat", "bargauge", "timeseries"}
COLUMNS = 24
VERDICT = "Is the GPU full, and if not, what is it waiting for?"


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """Squares of the grid that a panel covers."""
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_panels_fill_the_grid_without_overlap_or_gap() -> None:
    shown = dashboard.read_dashboard()["panels"]
    covered = [cell for panel in shown for cell in cells(panel)]
    assert len(covered) == len(set(covered))
    rows = max(y for _, y in covered) + 1
    assert set(covered) == set(itertools.product(range(COLUMNS), range(rows)))
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({panel["title"] for panel in shown}) == len(shown)


def test_its_version_is_the_one_that_the_panels_are_written_for() -> None:
    assert dashboard.read_dashboard()["schemaVersion"] == SCHEMA_VERSION
    assert {panel["type"] for panel in dashboard.panels()} == PANEL_TYPES


@pytest.mark.parametrize("panel", dashboard.panels(), ids=lambda panel: panel["title"])
def test_every_panel_says_how_to_read_it(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 40
    assert panel["fieldConfig"]["defaults"]["unit"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    assert all(target["legendFormat"] for target in panel["targets"])


def test_everything_asks_the_provisioned_source() -> None:
    (source,) = SOURCES["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    found = dashboard.read_dashboard()
    asking = [*dashboard.panels(), *dashboard.variables().values(), *found["annotations"]["list"]]
    asking += [target for panel in dashboard.panels() for target in panel["targets"]]
    assert {tuple(item["datasource"].items()) for item in asking} == {tuple(wanted.items())}
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert read_compose()["services"][host]["ports"][0].endswith(f":{port}")
    assert source["jsonData"]["timeInterval"] == yaml.safe_load(CONFIG.read_text())["global"]["scrape_interval"]


def test_variables_are_those_that_queries_use() -> None:
    text = dashboard.FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) == set(dashboard.variables())


def test_the_detectors_on_offer_are_no_steps() -> None:
    names = {"demo_net", "yolov8n.v2_net", "net_net"}
    assert dashboard.choices(dashboard.variables()["detector"], names) == {"demo", "yolov8n.v2", "net"}


def test_there_are_words_for_every_verdict_and_no_other() -> None:
    (rule,) = (rule for rule in read_rules() if rule.get("record") == "sightline:verdict")
    values = {"0"} | set(re.findall(r"\* 0 \+ (\d)", rule["expr"]))
    (mapping,) = dashboard.panel(VERDICT)["fieldConfig"]["defaults"]["mappings"]
    assert set(mapping["options"]) == values
    comment = (CONFIG.parent / "rules" / "records.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"^ +#   (\d) ", comment, re.MULTILINE)) == values


def test_limits_that_panels_show_are_those_of_the_alerts() -> None:
    expressions = {alert["alert"]: alert["expr"] for alert in alerts()}
    steps = dashboard.panel("Latency")["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert expressions["SightlineSlow"].endswith(f"> {steps[-1]['value']}")
    (share,) = re.findall(r"begins at (\d+) %", dashboard.panel("GPU memory")["description"])
    assert expressions["SightlineGpuMemoryNearlyFull"].endswith(f"> {int(share) / 100}")
    full = dashboard.panel("GPU busy")["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
    (rule,) = (rule for rule in read_rules() if rule.get("record") == "sightline:verdict")
    assert f"sightline:gpu_busy:ratio1m >= {full}" in rule["expr"]
    assert f"at least {full * 100:.0f} %" in dashboard.panel(VERDICT)["description"]


def test_alerts_and_panels_that_are_named_exist() -> None:
    titles = {panel["title"] for panel in dashboard.read_dashboard()["panels"]}
    names = {alert["alert"] for alert in alerts()}
    texts = dashboard.FILE.read_text(encoding="utf-8") + str([alert["annotations"] for alert in alerts()])
    assert set(re.findall(r"\bSightline[A-Z]\w+", texts)) <= names
    for alert in alerts():
        assert set(re.findall(r'under "([^"]+)"', alert["annotations"]["action"])) <= titles


def test_the_dashboard_is_mounted_where_grafana_is_told_to_look() -> None:
    service = read_compose()["services"]["grafana"]
    mounts = {volume["source"]: volume["target"] for volume in service["volumes"] if isinstance(volume, dict)}
    (provider,) = PROVIDERS["providers"]
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{dashboard.FILE.name}"
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert all((CHECKOUT / source).is_dir() for source in mounts)


def test_nobody_logs_in_with_a_default_password() -> None:
    service = read_compose()["services"]["grafana"]
    environment = service["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert not [name for name in environment if "PASSWORD" in name]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
