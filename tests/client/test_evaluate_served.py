"""Average precision through the real chain, on 100 photos of COCO: what Ultralytics reaches under one protocol."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.client.conftest import Found, Labels
from tests.joining_chain import JoiningChain

from sightline.cli import cli
from sightline.evaluation import Metrics, match_categories, measure, read_annotations, select
from sightline_export.exporter import ExportReport, export
from sightline_export.options import ExportOptions
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def truth_file(shared_data: Path) -> Path:
    return shared_data / "coco" / "instances.json"


@pytest.fixture(scope="module")
def serve_every_class(
    repository: Path, load_model: Callable[[str], None], shared_data: Path, chain: Any, small_sample: Path
) -> str:
    """yolov8n with every class of a box."""
    name = "yolov8n_every_class"
    options = ExportOptions(rect=False, multi_label=True)
    where = {"repository": repository, "chain": chain, "sample": small_sample}
    export(shared_data / "weights" / "yolov8n.pt", name=name, options=options, **where)
    load_model(name)
    return name


def evaluate(server: EmbeddedServer, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments), "--url", server.grpc_url, "--timeout", "300"])


def reference(truth_file: Path, found: Found) -> Metrics:
    selection = select(list(found), read_annotations(truth_file))
    names = next(iter(found.values())).class_names
    by_index = {image: found[path] for path, image in selection.image_of_path.items()}
    return measure(selection.truth, by_index, match_categories(names, selection.truth.categories))


def points_apart(report: dict[str, Any], metrics: Metrics) -> float:
    assert metrics.ap_50_95 is not None
    ours: float = report["served"]["ap_50_95"]
    return 100 * abs(ours - metrics.ap_50_95)


@pytest.mark.parametrize(("name", "precision", "bar"), [("yolov8n", "fp32", 0.1), ("yolov8n_bf16", "bf16", 0.5)])
def test_as_good_as_ultralytics(
    name: str,
    precision: str,
    bar: float,
    *,
    tmp_path: Path,
    truth_file: Path,
    ultralytics_found: dict[Labels, Found],
    server: EmbeddedServer,
    serve_in: Callable[[str, str], str],
) -> None:
    model = serve_in(name, precision)
    wanted = reference(truth_file, ultralytics_found["best class"])
    assert wanted.ap_50_95 == pytest.approx(0.371, abs=0.001)
    files = tmp_path / "report.json", tmp_path / "curves.png"
    where = truth_file.parent / "images", "--annotations", truth_file
    came = evaluate(server, *where, "--model", model, "--json", files[0], "--plot", files[1])
    assert came.exit_code == 0, came.output
    report = json.loads(files[0].read_text())
    print(f"{name}: mAP50-95 {report['served']['ap_50_95']:.4f}, in Ultralytics {wanted.ap_50_95:.4f}")
    assert points_apart(report, wanted) <= bar
    assert report["protocol"]["labels"] == "best class"
    assert report["protocol"]["score_threshold"] == 0.001
    assert report["served"]["images"] == 100
    assert report["served"]["objects"] == 903
    assert len(report["served"]["classes"]) == 76
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "best class per box, scores from 0.001, letterbox_640" in came.output


def test_int8_loses_little(
    tmp_path: Path,
    truth_file: Path,
    *,
    photos: list[Path],
    calibration_photos: list[Path],
    serve_detector: Callable[[str], str],
    yolov8n_int8: ExportReport,
    chain: JoiningChain,
) -> None:
    """On photographs that it was not calibrated on; with the decoding in 8 bits too it loses five points."""
    others = [photo for photo in photos[:66] if photo not in calibration_photos]

    def points(server: EmbeddedServer, model: str) -> float:
        file = tmp_path / f"{model}.json"
        came = evaluate(server, *others, "--annotations", truth_file, "--model", model, "--json", file)
        assert came.exit_code == 0, came.output
        served = json.loads(file.read_text())["served"]
        assert served["images"] == 50
        return 100 * float(served["ap_50_95"])

    folder = yolov8n_int8.installed.ensemble.parent
    with chain.serve(folder, yolov8n_int8.name) as served:
        int8 = points(served.server, served.model)
        listed = CliRunner().invoke(cli, ["models", "--url", served.server.grpc_url]).output
        fp32 = points(served.server, serve_detector("yolov8n"))
    print(f"mAP50-95: int8 {int8:.2f}, fp32 {fp32:.2f}")
    assert int8 >= fp32 - 1.5
    _, _, told = listed.partition(f"{served.model}: ready")
    assert re.search(r"^  precision  int8\n  engine     (openvino|onnxruntime) \S+, int8, ", told, re.MULTILINE)


def test_every_class_as_in_ultralytics_val(
    tmp_path: Path,
    truth_file: Path,
    ultralytics_found: dict[Labels, Found],
    server: EmbeddedServer,
    serve_every_class: str,
) -> None:
    wanted = reference(truth_file, ultralytics_found["every class"])
    file = tmp_path / "report.json"
    where = truth_file.parent / "images", "--annotations", truth_file
    came = evaluate(server, *where, "--model", serve_every_class, "--json", file)
    assert came.exit_code == 0, came.output
    report = json.loads(file.read_text())
    served = report["served"]
    print(f"every class: mAP50-95 {served['ap_50_95']:.4f}, in Ultralytics {wanted.ap_50_95:.4f}")
    assert points_apart(report, wanted) <= 0.1
    assert report["protocol"]["labels"] == "every class"
    listed = CliRunner().invoke(cli, ["models", "--url", server.grpc_url]).output
    assert listed.count("at most 300 detections, every class of a box") == 1
    assert served["found"] > 1.1 * reference(truth_file, ultralytics_found["best class"]).found


def test_against_its_source(
    tmp_path: Path,
    truth_file: Path,
    photos: list[Path],
    server: EmbeddedServer,
    serve_detector: Callable[[str], str],
) -> None:
    for photo in photos[:6]:
        shutil.copy(photo, tmp_path)
    (tmp_path / photos[6].name).write_bytes(photos[6].read_bytes()[:5000])
    (tmp_path / "stranger.jpg").write_bytes(photos[7].read_bytes())
    file, plot = tmp_path / "report.json", tmp_path / "curves.svg"
    source = truth_file.parents[1] / "weights" / "yolov8n.pt"
    options = ("--annotations", truth_file, "--model", serve_detector("yolov8n"), "--against", source)
    came = evaluate(server, tmp_path, *options, "--json", file, "--plot", plot)
    assert came.exit_code == 1, came.output
    assert "annotated images that were not given, left out: 93 (" in came.output
    assert "files that the annotations do not know, left out: 1 (" in came.output
    assert "failed, counted as images without detections: 1 (" in came.output
    assert "failed in the reference, counted as images without detections: 1 (" in came.output
    report = json.loads(file.read_text())
    assert list(report["served"]["failed"]) == list(report["reference"]["failed"]) == [str(tmp_path / photos[6].name)]
    assert report["reference"]["description"].startswith("ultralytics 8.")
    assert abs(report["difference_points"]["ap_50"]) <= 1
    assert set(report["difference_points"]["classes"]) == {each["name"] for each in report["served"]["classes"]}
    assert "mean of" in plot.read_text()
