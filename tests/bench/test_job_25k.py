"""The articles' whole job, small."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.server import tiny_detector

from sightline.errors import MeasurementError
from sightline_bench.job_25k.checks import check
from sightline_bench.job_25k.job import Course, Job, run_job
from sightline_bench.job_25k.names import link_names
from sightline_bench.job_25k.outcome import section_of
from sightline_bench.job_25k.page import page, plots
from sightline_bench.job_25k.section import SECTION, memory_by_name, throughput
from sightline_bench.job_25k.watch import LineCount
from sightline_bench.material.exports import Exported
from sightline_bench.material.photos import find_images
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Results
from sightline_export.groups import install_group
from sightline_export.repository import install_detector
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.launcher import EmbeddedServer

MODELS = ["bright", "light"]
FORMATS = ("jsonl", "coco", "yolo")
COUNT = 40


@dataclass
class Ran:
    """A job that was run, with what it was run on."""

    job: Job
    names: dict[str, int]
    course: Course


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedServer) -> Path:
    """A group of two detectors that find one object in bright pictures."""
    del server  # it skips this module's tests where no server can run
    folder = tmp_path_factory.mktemp("job")
    for model in MODELS:
        install_detector(folder, model, tiny_detector.graph().SerializeToString(), tiny_detector.detector_info())
    install_group(folder, "two", MODELS)
    return folder


def make_job(
    group: Path, folder: Path, *, count: int, tell: Callable[[str], None] = print
) -> tuple[Job, dict[str, int]]:
    names = link_names(find_images(BUNDLED_FOLDER), count, folder / "names")
    (folder / "results").mkdir()
    job = Job(
        exported=Exported(repository=group, model="two", precision="fp32"),
        names=folder / "names",
        count=count,
        output=folder / "results",
        formats=FORMATS,
        every_seconds=0.1,
        tell=tell,
    )
    return job, names


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, group: Path) -> Ran:
    job, names = make_job(group, tmp_path_factory.mktemp("ran"), count=COUNT)
    return Ran(job, names, run_job(job))


def section(ran: Ran) -> dict[str, Any]:
    checks = check(ran.job.output, ran.names, MODELS, FORMATS, partial=ran.course.interrupted)
    return section_of(ran.job, ran.course, checks, pictures=len(set(ran.names.values())), notes=["Weights: drawn."])


def test_many_names_of_few_pictures_and_no_copy(tmp_path: Path) -> None:
    images = find_images(BUNDLED_FOLDER)
    names = link_names(images, 1002, tmp_path / "names")
    assert len(names) == 1002
    assert [path.name for path in sorted((tmp_path / "names").iterdir())] == ["000", "001"]
    for name, picture in [*names.items()][:3] + [*names.items()][-3:]:
        assert Path(name).samefile(images[picture])
    assert set(names.values()) == set(range(len(images)))
    assert len(link_names(images, 2, tmp_path / "names")) == len([*(tmp_path / "names").rglob("*.*")]) == 2


def test_a_whole_job_is_measured_and_checked(ran: Ran) -> None:
    found = section(ran)
    assert found["partial"] is False
    assert (found["images"], found["failed"]) == (COUNT, 0)
    assert found["checks"]["problems"] == []
    compared = found["checks"]["identical"] + found["checks"]["same_objects"]
    assert compared == len(MODELS) * (COUNT - found["pictures"])
    assert found["objects"]["bright"] == found["objects"]["light"] > 0
    steps = {each["model"]: each["images"] for each in found["steps"]}
    assert steps == {"bright_net": COUNT, "light_net": COUNT, "letterbox_320": COUNT}, "nothing comes out of a cache"
    processes = {each["name"]: each for each in found["processes"]}
    assert {"sightline detect", "this measurement", "tritonserver", "model bright_net"} <= processes.keys()
    assert processes["sightline detect"]["cpu_seconds"] > 0
    assert sum(each["cpu_seconds"] for each in processes.values()) == pytest.approx(found["cpu_seconds"], rel=0.05)


def test_samples_begin_with_nothing_and_end_with_everything(ran: Ran) -> None:
    found = section(ran)
    samples = found["samples"]
    assert samples["images"][0] == 0
    assert samples["images"][-1] == COUNT
    assert samples["images"] == sorted(samples["images"])
    assert {len(each) for each in [samples["seconds"], *samples["memory_bytes"].values()]} == {len(samples["images"])}
    course = throughput(samples, windows=4)
    widths = [end - begin for begin, end in zip(course.seconds, course.seconds[1:], strict=False)]
    assert all(width > 0 for width in widths)
    assert next(iter(memory_by_name(samples))) in {each["name"] for each in found["processes"]}
    most = max(sum(values) for values in zip(*samples["memory_bytes"].values(), strict=True))
    assert found["peak_memory_bytes"] == most


def test_the_page_holds_the_figures_and_its_plots(ran: Ran) -> None:
    environment = {
        "command": "python -m sightline_bench.job_25k",
        "began": "2026-01-01T00:00:00+00:00",
        "machine": describe_machine(),
        "versions": describe_versions(),
        **describe_commit(),
    }
    results = Results(figures={}, sections={SECTION: json.loads(json.dumps(section(ran)))}, environment=environment)
    text = page(results, "job_25k")
    assert "40 done, 0 failed, of 40" in text
    assert "The response cache is off" in text
    assert "Weights: drawn." in text
    assert "Nothing is wrong." in text
    drawn = plots(results, "job_25k")
    assert all(name in text and plot.startswith("<svg") for name, plot in drawn.items())


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path, group: Path) -> None:
    told: list[str] = []
    # Not to the whole process: the system may then choose a thread of a native library, with no room for a handler.
    main_thread = threading.get_ident()

    def tell(line: str) -> None:
        told.append(line)
        if "expected end" in line and len([each for each in told if "expected end" in each]) == 1:
            signal.pthread_kill(main_thread, signal.SIGINT)

    job, names = make_job(group, tmp_path, count=20_000, tell=tell)
    course = run_job(job)
    assert course.interrupted
    found = section(Ran(job, names, course))
    assert found["partial"] is True
    assert 32 <= found["images"] < 20_000
    assert found["checks"]["problems"] == []
    assert found["checks"]["missing"] == 20_000 - found["images"]


def test_a_job_that_cannot_run_says_why(tmp_path: Path, group: Path) -> None:
    job, _ = make_job(group, tmp_path, count=1)
    with pytest.raises(MeasurementError, match=r"ended with 2:(\n.*)*nonsense"):
        run_job(replace(job, formats=["nonsense"]))


def rewritten(ran: Ran, folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> list[str]:
    """The problems of results after a change."""
    lines = [json.loads(line) for line in (ran.job.output / "results.jsonl").read_text().splitlines()]
    change(lines)
    folder.joinpath("results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return check(folder, ran.names, MODELS, ["jsonl"], partial=False).problems


def drop_a_model(lines: list[dict[str, Any]]) -> None:
    del lines[3]["models"]["light"]


def find_another_object(lines: list[dict[str, Any]]) -> None:
    lines[-1]["models"]["light"].append({"box_xyxy": [0, 0, 1, 1], "score": 0.3, "class_id": 0})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines.pop(), "1 files without results or an error"),
        (lambda lines: lines.append(lines[0]), "1 files with several lines"),
        (lambda lines: lines.append({**lines[0], "source": "other.jpg"}), "1 lines of files that nobody named"),
        (drop_a_model, "1 lines that lack a model"),
        (find_another_object, "1 results that differ from those of an equal file"),
    ],
)
def test_what_is_wrong_in_results_is_found(
    ran: Ran, tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], problem: str
) -> None:
    assert problem in rewritten(ran, tmp_path, change)


def test_small_differences_are_told_and_no_fault(ran: Ran, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (ran.job.output / "results.jsonl").read_text().splitlines()]
    moved = next(each for each in reversed(lines) if each["models"]["light"])
    moved["models"]["light"][0]["box_xyxy"][0] += 0.01
    tmp_path.joinpath("results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = check(tmp_path, ran.names, MODELS, ["jsonl"], partial=False)
    assert found.problems == []
    assert found.same_objects == 1
    assert found.largest_shift_pixels == pytest.approx(0.01)


def test_files_that_are_missing_beside_the_results_are_found(ran: Ran) -> None:
    label = next((ran.job.output / "light" / "labels").rglob("*.txt"))
    text = label.read_bytes()
    label.unlink()
    try:
        found = check(ran.job.output, ran.names, MODELS, FORMATS, partial=False)
    finally:
        label.write_bytes(text)
    assert found.problems == [f"yolo: {COUNT - 1} of light, where there ought to be {COUNT}"]


def test_lines_are_counted_as_they_come(tmp_path: Path) -> None:
    count = LineCount(tmp_path / "results.jsonl")
    assert count.now() == 0
    with (tmp_path / "results.jsonl").open("w") as file:
        file.write("one\ntwo\nthr")
        file.flush()
        assert count.now() == 2
        file.write("ee\n")
    assert count.now() == 3
