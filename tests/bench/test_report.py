"""The page and the table of a run, from results that are made up; and the same from a run that was cut off."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from tests.bench import made_up_results

from sightline.cli import cli
from sightline_bench.measure.results import Results, read_results, write_results
from sightline_bench.ratios.groups import all_keys
from sightline_bench.report.joined import join
from sightline_bench.report.page import render
from sightline_bench.report.wording import summary
from sightline_bench.table import show

KEY = "served_over_in_process"
VOID = {"meta", "br", "img", "hr", "link", "path", "use", "rect", "ellipse", "circle", "stop"}


class Nesting(HTMLParser):
    """Finds tags that are not closed where they ought to be, and gathers the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def results() -> Results:
    return made_up_results.results()


@pytest.fixture(scope="module")
def small(results: Results) -> Results:
    """A figure and no plots."""
    return replace(results, figures={KEY: results.figures[KEY]}, races=(), sweeps=(), sections={})


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bench", *map(str, arguments)])


def test_the_page_stands_alone(page: str) -> None:
    assert page.count("<svg") == 9
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]', page)
    assert not re.findall(r"url\((?!#)", page)
    assert "<script" not in page
    nesting = Nesting(page)
    assert nesting.wrong == nesting.open == []


def test_every_figure_is_on_the_page(results: Results, page: str) -> None:
    text = " ".join(Nesting(page).text)
    assert all_keys().keys() == results.figures.keys()
    for key, figure in results.figures.items():
        assert key in text
        assert figure.title in text
        assert figure.note in text
    reached = [figure.reached for figure in results.figures.values()]
    assert page.count("<div class=reached>") == reached.count(True) > 0
    assert page.count("<div class=missed>") == reached.count(False) > 0
    assert page.count("<div class=lacking>") == 1


def test_bars_stand_where_the_figure_says(small: Results) -> None:
    row = render(small)  # 1.06 of its target, from 0.94 to 1.05 of that
    assert 'class="fill" style="width:53.00%"' in row
    assert '<s style="left:49.82%;width:5.83%">' in row
    assert '<u style="left:50%">' in row


@pytest.mark.parametrize(
    "text",
    [
        "a processor & its <model>",
        "The checkout had changes",
        "The machine had other work",
        "No module named 'detecto' <here>",
        "grpc, 1 in flight, 32 images a request: not measured, perf_analyzer could not run: big",
        "network: queue",
        "HTTP, shared memory",
        "16 a request",
        "Ultralytics ONNX did not run: Ultralytics ONNX ended while it was asked to load, by SIGKILL",
        "231.0",  # milliseconds of processor time of an image
        "734 MB",
        "workers 2, batch 8",
        "threads 128",
        "3 files have no line in the results.",
        "14,962",
        "sightline bench --images coco/images",
        "name a GPU, driver_version 580.1",
        "decode coco, batch 64",
        "not measured: out of memory",
        "0.93 (0.91 - 0.94)",
        "0.013",
    ],
)
def test_the_page_tells(page: str, text: str) -> None:
    assert text in " ".join(Nesting(page).text)


def test_a_rehearsal_is_no_measurement(small: Results) -> None:
    told = render(replace(small, sections={"gpu": made_up_results.gpu(measured=False)}))
    text = " ".join(Nesting(told).text)
    assert "Not measured: a rehearsal on the processor." in text
    assert "The rehearsal" in text
    assert "<svg" not in told


def test_the_page_holds_the_file(results: Results, page: str) -> None:
    data = re.findall(r'href="data:application/json;base64,([^"]+)"', page)
    assert Results.from_json(json.loads(base64.b64decode(data[0]))) == results


def test_a_run_of_one_figure_has_a_page(small: Results) -> None:
    text = " ".join(Nesting(render(small)).text)
    assert "Not measured: it comes with the figure p99_over_queue_model" in text
    assert "Not measured: every figure above is the processor's" in text


def test_a_run_that_was_cut_off_says_so(small: Results) -> None:
    cut = replace(small, environment={**small.environment, "complete": False})
    assert "This run was cut off" in render(cut)
    assert "This run was cut off" not in render(small)
    assert "a full run, 3 rounds, cut off, 37:11 in all" in summary(cut)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_has_room_for_the_table(results: Results, width: int) -> None:
    text = io.StringIO()
    show(results.figures, Console(width=width, file=text, highlight=False))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    first = next(line for line in lines if "reached" in line)
    assert re.search(r"served ÷ in-process.*1\.03 +0\.967 - 1\.08 +≥ 0\.97 +reached", first)
    places = {line.index(word) for line in lines for word in ("  reached", "  missed") if word in line}
    assert len(places) == 1, "verdicts stand in one column"


def test_results_are_shown_again(small: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "bench.json", small)
    assert read_results(tmp_path / "bench.json") == small
    shown = run("--from", tmp_path / "bench.json", "--html", tmp_path / "bench.html")
    assert shown.exit_code == 0, shown.output
    assert KEY in shown.output
    assert (
        "1 of 1 figures reached\na full run, 3 rounds, 37:11 in all, commit 6e13b839e290, with changes" in shown.output
    )
    assert (tmp_path / "bench.html").read_text() == render(small)


def test_what_several_commands_measured_is_one_page(small: Results, tmp_path: Path) -> None:
    without = replace(small, sections={"gpu": made_up_results.gpu(measured=False)})
    gpu = replace(small, figures={}, sections={"gpu": made_up_results.gpu(measured=True)})
    together = join([("bench.json", without), ("gpu.json", gpu)])
    assert together.figures == small.figures
    assert (
        together.sections
        == gpu.sections
        == join([("gpu.json", gpu), ("more.json", replace(without, figures={}))]).sections
    )
    text = " ".join(Nesting(render(together)).text)
    assert "gpu.json" in text
    assert "sections.gpu" in text
    assert join([("bench.json", small)]) == small
    write_results(tmp_path / "bench.json", small)
    shown = run("--from", tmp_path / "bench.json", "--from", tmp_path / "bench.json")
    assert shown.exit_code == 2
    assert f"both have {KEY}" in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--quick"], "only --html goes with it, not --quick"),
        (["--json", "other.json"], "not --json"),
        (["--html", "missing/bench.html"], "there is no folder"),
    ],
)
def test_showing_again_measures_nothing(small: Results, tmp_path: Path, arguments: list[Any], told: str) -> None:
    write_results(tmp_path / "bench.json", small)
    shown = run("--from", tmp_path / "bench.json", *arguments)
    assert shown.exit_code == 2
    assert told in " ".join(shown.output.split())


def test_another_file_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    shown = run("--from", file)
    assert shown.exit_code == 2
    assert "schema is None" in shown.output


def test_the_course_of_a_job_is_drawn_to_its_end(page: str) -> None:
    drawn = page.split("The whole job", 1)[1].split("Steps of the server", 1)[0]
    axis = [float(text) for text in re.findall(r"<text[^>]*>(\d+)</text>", drawn)]
    assert axis.count(60.0) == 2, "both plots go over more than an hour"
