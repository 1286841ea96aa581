"""`sightline evaluate` where no real detector is needed: what it refuses, notes, draws and writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.client.evaluation_truth import Row, box, content, detections, truth, write

from sightline import Detections
from sightline.cli import cli
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError, OutputError
from sightline.evaluation import (
    Evaluation,
    GroundTruth,
    MeasuredDetector,
    Protocol,
    as_json,
    as_text,
    match_categories,
    measure,
    select,
    write_plot,
)
from sightline_server.launcher import EmbeddedServer

THINGS = ({"id": 1, "name": "Thing"}, {"id": 2, "name": "beast"})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures, one of another size than the annotations tell."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size_hw in (("10.png", (400, 600)), ("20.png", (300, 300))):
        assert cv2.imwrite(str(folder / name), np.full((*size_hw, 3), 90, np.uint8))
    return folder


def annotated(folder: Path, **more: Any) -> Path:
    known = content([box(10, 1, [5, 5, 50, 50]), box(10, 2, [100, 50, 20, 20])], categories=THINGS, **more)
    for image in known["images"]:
        image["file_name"] = f"{image['id']}.png"
    return write(folder, known)


def evaluate(url: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments), "--url", url])


def test_a_detector_that_finds_nothing(server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = ("--model", noop_model, "--annotations", annotated(tmp_path), "--json", file)
    came = evaluate(server.grpc_url, photos, *options)
    assert came.exit_code == 0, came.output
    assert "mAP50-95     0.00" in came.output
    assert "names that fit but for case, spaces or hyphens: 1 (thing = Thing)" in came.output
    assert "categories unknown to the detector, counted as never found: 1 (beast)" in came.output
    assert f"another size than the annotations tell: 1 ({photos / '20.png'} (300 x 300, not 600 x 400))" in came.output
    report = json.loads(file.read_text())
    assert report["model"]["name"] == noop_model
    assert report["model"]["preprocessing"] == "letterbox_640"
    assert report["versions"]["faster-coco-eval"]
    assert [(each["name"], each["known"], each["best_f1"]) for each in report["served"]["classes"]] == [
        ("Thing", True, None),
        ("beast", False, None),
    ]


def test_known_categories_only(server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path) -> None:
    options = ("--model", noop_model, "--annotations", annotated(tmp_path), "--known-categories-only")
    came = evaluate(server.grpc_url, photos, *options)
    assert "categories unknown to the detector, left out: 1 (beast)" in came.output
    assert "mean over the categories that the detector knows" in came.output


def test_arguments_without_images(server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path) -> None:
    options = ("--model", noop_model, "--annotations", annotated(tmp_path))
    came = evaluate(server.grpc_url, photos / "10.png", photos / "absent.png", *options)
    assert came.exit_code == 1
    assert f"arguments that led to no image: 1 ({photos / 'absent.png'} (no such file or folder))" in came.output
    assert "annotated images that were not given, left out: 1 (20.png)" in came.output


def test_what_is_refused(server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path) -> None:
    options = ("--model", noop_model, "--annotations", annotated(tmp_path))
    refused = [
        (("--plot", tmp_path / "curve.pdf"), "must end in .png or .svg"),
        (("--json", tmp_path / "absent" / "a.json"), "there is no folder"),
        (("--family", "yolov5"), "--family belongs to --against"),
    ]
    for more, reason in refused:
        came = evaluate(server.grpc_url, photos, *options, *more)
        assert came.exit_code == 2
        assert reason in " ".join(came.output.split())
    came = evaluate(server.grpc_url, photos, *options[2:], "--model", "unheard_of")
    assert came.exit_code == 2
    # Others that tests have loaded may stand there too.
    _, _, served = " ".join(came.output.split()).partition("serves: ")
    assert noop_model in served.replace(",", " ").split()


def test_no_category_in_common(server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path) -> None:
    known = content([], categories=[{"id": 1, "name": "cat"}])
    came = evaluate(server.grpc_url, photos, "--model", noop_model, "--annotations", write(tmp_path, known))
    assert came.exit_code == 2
    assert "the detector knows thing; the annotations have cat" in " ".join(came.output.split())


@pytest.mark.parametrize(("package", "more"), [("faster_coco_eval", []), ("matplotlib", ["--plot", "curve.png"])])
def test_without_the_extra(package: str, more: list[str], photos: Path, tmp_path: Path) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from sightline.cli import main; main()"
    command = [sys.executable, "-c", script, "evaluate", str(photos), "--model", "any", *more]
    command += ["--annotations", str(annotated(tmp_path))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "needs the evaluate extra" in ran.stderr


def evaluation(known: GroundTruth, *found: Detections, against: Detections | None = None) -> Evaluation:
    """As the command makes it, of the images in order."""
    names = found[0].class_names
    match = match_categories(names, known.categories)

    def measured(description: str, *what: Detections) -> MeasuredDetector:
        return MeasuredDetector(
            description=description, match=match, metrics=measure(known, dict(enumerate(what)), match)
        )

    info = DetectorInfo(class_names=names)
    return Evaluation(
        model="tiny",
        info=info,
        protocol=Protocol.of(info),
        selection=select([image.file_name for image in known.images], known),
        served=measured("fp32", *found),
        reference=None if against is None else measured("framework 1.0", against),
    )


CAT: Row = (50, 50, 150, 150, 0.9, 0)


def test_differences_are_points(tmp_path: Path) -> None:
    known = truth(tmp_path, [box(10, 3, [50, 50, 100, 100])])
    came = evaluation(known, detections(CAT), against=detections((50, 50, 130, 150, 0.9, 0)))
    report = as_json(came)
    assert report["difference_points"]["ap_50_95"] == pytest.approx(30)
    assert report["difference_points"]["ap_small"] is None
    assert report["difference_points"]["classes"] == {"cat": pytest.approx(30)}
    assert "mAP50-95     100.00     70.00     +30.00" in list(as_text(came))
    json.dumps(report, allow_nan=False)
    same = list(as_text(evaluation(known, detections(CAT), against=detections(CAT))))
    assert "mAP50-95     100.00    100.00      +0.00" in same


def test_a_higher_floor_is_told() -> None:
    assert "scores from 0.05 (the detector's floor; usual is 0.001)" in str(
        Protocol.of(DetectorInfo(class_names=("a",), score_floor=0.05))
    )
    assert "every class of a box" in str(Protocol.of(DetectorInfo(class_names=("a",), multi_label=True)))


def many(count: int, tmp_path: Path) -> Evaluation:
    """Every category has an object, and every second is found."""
    categories = [{"id": index, "name": f"kind {index} $x$ & <b>"} for index in range(count)]
    known = truth(tmp_path, [box(10, index, [3 * index, 5, 30, 30]) for index in range(count)], categories=categories)
    rows: list[Row] = [(3 * index, 5, 3 * index + 30, 35, 0.5, index) for index in range(0, count, 2)]
    return evaluation(known, detections(*rows, names=tuple(str(each["name"]) for each in categories)))


@pytest.mark.parametrize("count", [1, 3, 80, 200])
def test_plots(count: int, tmp_path: Path) -> None:
    came = many(count, tmp_path)
    svg, png = tmp_path / "curve.svg", tmp_path / "curve.PNG"
    write_plot(came, svg)
    drawn = svg.read_text()
    assert drawn.count("kind ") == min(count, 83)
    assert "kind 0 $x$ &amp; &lt;b&gt;" in drawn
    assert ("117 more" in drawn) == (count == 200)
    assert (f"mean of {count}: mAP50" in drawn) == (count > 1)
    write_plot(came, png)
    picture = cv2.imread(str(png))
    assert picture is not None
    assert picture.std() > 10
    again = tmp_path / "again.svg"
    write_plot(came, again)
    assert again.read_bytes() == svg.read_bytes()


def test_a_plot_without_objects(tmp_path: Path) -> None:
    write_plot(evaluation(truth(tmp_path, []), detections(CAT)), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size


def test_plots_that_cannot_be_written(tmp_path: Path) -> None:
    came = many(1, tmp_path)
    with pytest.raises(InvalidOptionError, match=r"must end in \.png or \.svg"):
        write_plot(came, tmp_path / "curve")
    with pytest.raises(OutputError, match="cannot write the plot"):
        write_plot(came, tmp_path / "absent" / "curve.png")
