"""`sightline detect` against a real server: what it writes, says and returns, whatever the images are."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.server import tiny_detector

from sightline import Client, ClientOptions, job
from sightline.sources import Sources
from sightline.writers import ErrorLog, JsonLinesWriter, WriterPool
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_export.repository import install_detector
from sightline_server.launcher import EmbeddedServer, ServerOptions

COMMAND = [sys.executable, "-c", "from sightline.cli import main; main()", "detect"]
DECODABLE = [
    *(f"orientation/Landscape_{number}.jpg" for number in range(1, 9)),
    *("unusual/hopper_gray.jpg", "unusual/cat.jpg", "unusual/pil_sample_cmyk.jpg", "unusual/sugarshack.mpo"),
    *("unusual/hopper.png", "unusual/basn2c16.png", "unusual/p_16.png", "unusual/transparent.png"),
    *("unusual/hopper.webp", "unusual/transparent.webp", "unusual/hopper.bmp"),
]
BROKEN = ["bomb/reallybig.bmp", "broken/truncated_jpeg.jpg", "broken/broken.png", "bomb/decompression_bomb.gif"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedServer) -> Iterator[str]:
    """A server with one detector only: it finds the whole picture, with its brightness as score."""
    del server  # it skips this module's tests where no server can run
    repository = tmp_path_factory.mktemp("only_one")
    install_detector(repository, "tiny", tiny_detector.graph().SerializeToString(), tiny_detector.detector_info())
    options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as running:
        yield running.grpc_url


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three bright pictures, two of them of the same name."""
    folder = tmp_path / "photos"
    for number, name in enumerate(["a/x.jpg", "b/x.jpg", "y.png"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((30 + number, 40, 3), 200, np.uint8))
    return folder


def detect(*arguments: object, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *map(os.fspath, map(str, arguments))]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, cwd=cwd)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def names(records: list[dict[str, Any]]) -> list[str]:
    return [Path(record["source"]).name for record in records]


def test_photos_in_boxes_out(url: str, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    ran = detect(photos, "--url", url, "--output", output, "--format", "jsonl,coco,yolo,annotated")
    assert ran.returncode == 0, ran.stderr
    results = lines(output / "results.jsonl")
    assert [Path(result["source"]).relative_to(photos).as_posix() for result in results] == [
        "y.png",
        "a/x.jpg",
        "b/x.jpg",
    ]
    assert (results[0]["width"], results[0]["height"]) == (40, 32)
    [found] = results[0]["detections"]
    assert found["box_xyxy"] == [0, 0, 40, 32]
    assert found["class_name"] == "bright"
    assert (output / "errors.jsonl").read_bytes() == b""
    assert len(json.loads((output / "coco_results.json").read_bytes())) == 3
    for name in ("y", "a/x", "b/x"):
        assert (output / "labels" / f"{name}.txt").read_text() == "0 0.500000 0.500000 1.000000 1.000000\n"
        assert cv2.imread(str(output / "annotated" / f"{name}.jpg")) is not None
    assert b"model: tiny (the only one" in ran.stderr
    said = ran.stdout.decode()
    assert len(said.splitlines()) == 1
    assert said.startswith("3 done in ")
    assert "3 objects: 3 bright" in said
    assert str(output) in said


def test_bad_images_cost_the_others_nothing(url: str, shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    awkward = shared_data / "awkward"
    arguments = [awkward, tmp_path / "empty.jpg", tmp_path / "text.jpg", "missing.jpg", "no such folder/", "*.nothing"]
    output = tmp_path / "out"
    ran = detect(*arguments, "--url", url, "--output", output, "--confidence", "0.001", cwd=tmp_path)
    assert ran.returncode == 1
    results, errors = lines(output / "results.jsonl"), lines(output / "errors.jsonl")
    everything = [str(path) for path in awkward.rglob("*") if path.is_file()] + [str(each) for each in arguments[1:]]
    assert sorted(each["source"] for each in results + errors) == sorted(everything)
    sizes = {each["source"]: (each["height"], each["width"]) for each in results}
    for name in DECODABLE:
        picture = cv2.imread(str(awkward / name))
        assert picture is not None
        assert sizes[str(awkward / name)] == picture.shape[:2], name
    kinds = {each["source"]: each["error"] for each in errors}
    assert {str(awkward / name) for name in BROKEN} <= kinds.keys()
    assert kinds[str(awkward / "bomb" / "reallybig.bmp")] == "too-large"
    assert kinds[str(tmp_path / "empty.jpg")] == "empty"
    assert kinds[str(tmp_path / "text.jpg")] == "unsupported"
    assert {kinds[name] for name in ("missing.jpg", "no such folder/", "*.nothing")} == {"unreadable"}
    assert all(each["reason"] for each in errors)
    assert f"{len(results)} done, {len(errors)} failed in ".encode() in ran.stdout
    assert b"errors.jsonl" in ran.stdout


def test_only_some_classes_and_scores(url: str, photos: Path, tmp_path: Path) -> None:
    ran = detect(photos, "--url", url, "-o", tmp_path / "out", "--confidence", "0.9", "--classes", "bright")
    assert ran.returncode == 0, ran.stderr
    assert [result["detections"] for result in lines(tmp_path / "out" / "results.jsonl")] == [[], [], []]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs a file system that takes any bytes")
def test_awkward_names_on_stdin(url: str, photos: Path, tmp_path: Path) -> None:
    named = [b"with space.jpg", "größe 日本.jpg".encode(), b"new\nline.jpg", b"not-utf8-\xff.jpg"]
    for name in named:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes((photos / "a" / "x.jpg").read_bytes())
    output = tmp_path / "out"
    formats = ["--format", "jsonl,yolo,annotated,coco"]
    ran = detect("-", "--null", "--url", url, "--output", output, *formats, stdin=b"\0".join(named), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert [os.fsencode(each["source"]) for each in lines(output / "results.jsonl")] == named
    for folder in ("annotated", "labels"):
        assert {path.stem for path in (output / folder).iterdir()} == {Path(os.fsdecode(name)).stem for name in named}


def test_a_file_that_cannot_be_written_is_reported(url: str, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (output / "labels" / "y.txt").mkdir(parents=True)
    ran = detect(photos, "--url", url, "--output", output, "--format", "jsonl,yolo")
    assert ran.returncode == 1
    assert ran.stdout.startswith(b"2 done, 1 failed")
    [error] = lines(output / "errors.jsonl")
    assert error["error"] == "write-failed"
    assert "YOLO labels: cannot write" in error["reason"]
    assert len(lines(output / "results.jsonl")) == 3


def test_a_second_run_replaces_the_first_and_never_reads_its_pictures(url: str, photos: Path) -> None:
    (photos / "annotated").mkdir()
    (photos / "annotated" / "y.jpg").write_bytes((photos / "a" / "x.jpg").read_bytes())
    for _ in range(2):
        ran = detect(photos, "--url", url, "--output", photos)
        assert ran.returncode == 0, ran.stderr
    assert names(lines(photos / "results.jsonl")) == ["y.png", "x.jpg", "x.jpg"]
    assert (photos / "annotated" / "y.jpg").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--classes", "bright,cat"], 2, "no class 'cat'; it knows: bright"),
        (["--classes", ", ,"], 2, "--classes names none"),
        (["--model", "nobody"], 2, "serves: tiny"),
        (["--model", "letterbox_320"], 1, "not a Sightline detector"),
        (["--url", "nonsense"], 2, "HOST:PORT"),
        (["--format", "jsonl,xml"], 2, "'xml' is not one of jsonl, coco, yolo, annotated"),
        (["--confidence", "2"], 2, "0<=x<=1"),
        (["--confidence", "nan"], 2, "from 0 to 1"),
        (["--batch-size", "0"], 2, "x>=1"),
        (["--timeout", "nan"], 2, "timeout_seconds"),
        (["--annotations", __file__], 2, "--annotations belongs to --format coco"),
        (["--annotations", __file__, "--format", "coco"], 2, "no COCO annotations file"),
        (["--yolo-scores"], 2, "--yolo-scores belongs to --format yolo"),
        (["--overlap", "0.2"], 2, "--overlap belongs to --tile"),
        (["--tiles-only"], 2, "--tiles-only belongs to --tile"),
        (["--tile", "640", "--overlap", "0.9"], 2, "overlap is 0.9; it must lie from 0 to 0.5"),
        (["--tile", "640", "--overlap", "nan"], 2, "overlap is nan"),
        (["--tile", "100"], 2, "320 to 4096"),
        (["--output", __file__], 1, "cannot make the folder"),
        (["--url", "127.0.0.1:9"], 1, "start one with `sightline serve`"),
    ],
)
def test_wrong_usage_is_said_before_anything_runs(
    url: str, photos: Path, tmp_path: Path, *, arguments: list[str], status: int, message: str
) -> None:
    ran = detect(photos, "--url", url, "--output", tmp_path / "out", *arguments)
    assert ran.returncode == status, ran.stderr
    assert message in " ".join(ran.stderr.decode().split())
    assert b"Traceback" not in ran.stderr
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_large_pictures_in_tiles(url: str, photos: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(photos / "large.jpg"), np.full((1000, 1500, 3), 200, np.uint8))
    ran = detect(photos, "--url", url, "--output", tmp_path / "out", "--tile", "640", "--overlap", "0.25")
    assert ran.returncode == 0, ran.stderr
    found = {Path(each["source"]).name: each["detections"] for each in lines(tmp_path / "out" / "results.jsonl")}
    assert [each["box_xyxy"] for each in found["large.jpg"]] == [[0, 0, 1500, 1000]]
    assert [each["box_xyxy"] for each in found["y.png"]] == [[0, 0, 40, 32]]
    assert b"shrunk to the 320 that the model takes" in ran.stderr


def test_tiles_that_the_network_would_see_enlarged_are_wrong_usage(
    server: EmbeddedServer, noop_model: str, photos: Path, tmp_path: Path
) -> None:
    ran = detect(photos, "--url", server.grpc_url, "--model", noop_model, "--output", tmp_path / "out", "--tile", "320")
    assert ran.returncode == 2
    assert b"do not match the network" in ran.stderr
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_among_several_detectors_one_must_be_chosen(
    server: EmbeddedServer, noop_model: str, repository: Path, load_model: Callable[[str], None], photos: Path
) -> None:
    write_noop_detector(repository, "another")
    load_model("another")
    ran = detect(photos, "--url", server.grpc_url)
    assert ran.returncode == 2
    assert b"choose one with --model: " in ran.stderr
    assert noop_model.encode() in ran.stderr


def test_images_are_required() -> None:
    ran = detect()
    assert ran.returncode == 2
    assert b"Missing argument 'IMAGES...'" in ran.stderr


@pytest.fixture
def slow_model(repository: Path, load_model: Callable[[str], None]) -> str:
    """A detector that takes a tenth of a second for every request."""
    write_noop_detector(repository, "sluggish", options=NoopOptions(delay_seconds=0.1))
    load_model("sluggish")
    return "sluggish"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_keeps_what_is_done(
    number: signal.Signals, *, server: EmbeddedServer, slow_model: str, photos: Path, tmp_path: Path
) -> None:
    results = tmp_path / "out" / "results.jsonl"
    command = [*COMMAND, *["-", "--url", server.grpc_url, "--model", slow_model, "--output", str(tmp_path / "out")]]
    command += ["--batch-size", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"%s\n" % os.fsencode(photos / "a" / "x.jpg") * 500)
        process.stdin.flush()
        give_up = time.monotonic() + 60
        while not (results.exists() and results.read_bytes().count(b"\n") >= 3) and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(number)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 128 + number, complained
    written = lines(results)
    assert 3 <= len(written) < 500
    assert f"interrupted: {len(written)} done in ".encode() in said
    assert b"Traceback" not in complained


def test_a_server_that_dies_leaves_an_outcome_for_every_image(photos: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    write_noop_detector(repository, "sluggish", options=NoopOptions(delay_seconds=0.1))
    picture = str(photos / "a" / "x.jpg")
    options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as server:
        rows: list[job.Row] = []

        def kill_after_three(row: job.Row) -> None:
            rows.append(row)
            if len(rows) == 3:
                os.kill(server.pid, signal.SIGKILL)

        client_options = ClientOptions(reconnect_seconds=0.5)
        with Client(server.grpc_url, model="sluggish", options=client_options) as client:
            report = job.run(
                client.stream([picture] * 40, batch_size=1),
                pool=WriterPool([JsonLinesWriter(tmp_path)], errors=ErrorLog(tmp_path)),
                sources=Sources([]),
                watchers=[kill_after_three],
            )
    assert report.done >= 3
    assert report.failed >= 1
    assert report.done + report.failed == 40
    errors = lines(tmp_path / "errors.jsonl")
    assert len(errors) == report.failed
    assert {error["error"] for error in errors} <= {"server-unavailable", "inference-failed", "deadline-exceeded"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_on_a_terminal_there_is_a_bar_and_the_failures(url: str, photos: Path, tmp_path: Path) -> None:
    (photos / "bad\x1b[31m.jpg").write_text("no picture")
    ours, theirs = pty.openpty()
    command = [*COMMAND, str(photos), "--url", url, "--output", str(tmp_path / "out")]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(timeout=60) == 1
    os.close(ours)
    assert b"4/4" in shown
    assert b"1 failed" in shown
    assert rb"bad\x1b[31m.jpg" in shown
    assert b"bad\x1b" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other end is closed
        return b""
