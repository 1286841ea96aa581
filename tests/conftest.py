"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tritonclient.grpc
from tests.joining_chain import JoiningChain

from sightline.contract import Precision
from sightline.errors import MissingDependencyError
from sightline_bench.noop import DEFAULT_NAME, write_noop_detector
from sightline_export.options import ExportOptions
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.launcher import EmbeddedServer, ServerOptions

if TYPE_CHECKING:
    from sightline_export.exporter import ExportReport

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"

DETECTORS: dict[str, tuple[str, Precision]] = {
    "yolov8n": ("weights/yolov8n.pt", "fp32"),
    "yolov8n_bf16": ("weights/yolov8n.pt", "bf16"),
    "yolov8n_rect": ("weights/yolov8n.pt", "fp32"),
    "yolo26n_foreign": ("onnx/yolo26n_int8_dynamic_e2e.onnx", "fp32"),
    "yolov8n_foreign": ("onnx/yolov8n_int8_qdq_opset11.onnx", "fp32"),
}
"""Real detectors that the session's server can serve: source in the shared data, precision."""
RECTANGLES = frozenset({"yolov8n_rect"})
"""Those whose networks see rectangles."""


HARDWARE = "this machine "
"""How the reason of a skip begins that even CI may show: it has the hardware that it has."""
NOBODY = 65_534


def pytest_configure() -> None:
    """Hear Ctrl-C and hang-ups, and have the programs that tests start hear them.

    A shell that runs tests in the background makes them ignore both, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI, where everything must be there, a test that was skipped is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])]
    missing = sorted({reason for reason in reasons if not reason.startswith(HARDWARE)})
    if missing:
        reporter.write_line(f"skipped, which CI does not allow: {'; '.join(missing)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def skip_or_fail(reason: str) -> None:
    """Skip on a developer's machine; fail under CI, where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def on_the_cpu_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that other tests than those for GPUs start compute on the CPU, whatever the machine has."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def bound_by_permissions(tmp_path: Path) -> Iterator[None]:
    """File permissions bind in this test, for root too: it runs as somebody who owns nothing."""
    if sys.platform == "win32":
        pytest.skip("Windows has other permissions")
    if os.geteuid() != 0:
        yield
        return
    closed = [folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o005]
    modes = {folder: folder.stat().st_mode for folder in closed}
    for folder, mode in modes.items():
        folder.chmod(mode | 0o055)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for folder, mode in modes.items():
            folder.chmod(mode)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights, images and broken files beside the checkout."""
    if not SHARED_DATA.is_dir():
        skip_or_fail(f"needs the test data folder {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models that `server` serves. It begins with a no-op detector; others join it by `load_model`."""
    folder = tmp_path_factory.mktemp("model_repository")
    write_noop_detector(folder)
    return folder


@contextmanager
def running_server(repository: Path) -> Iterator[EmbeddedServer]:
    """A server on free ports that lets its clients load models, for fixtures: a skip where none can be installed."""
    options = ServerOptions(
        repository=repository, grpc_port=0, http_port=0, metrics_port=0, allow_model_control=True, use_gpus=False
    )
    try:
        running = EmbeddedServer(options)
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise
    with running:
        yield running


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[EmbeddedServer]:
    """The one server of the whole session, on free ports."""
    with running_server(repository) as running:
        yield running


@pytest.fixture(scope="session")
def load_model(server: EmbeddedServer) -> Callable[[str], None]:
    """A function that has the session's server load a model, with its parts, that was written into `repository`."""

    def load(name: str) -> None:
        with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
            client.load_model(name)

    return load


@pytest.fixture(scope="session")
def chain(server: EmbeddedServer) -> Iterator[JoiningChain]:
    """What `sightline export` compares a candidate with its source through, in the session's server."""
    with JoiningChain(server) as running:
        yield running


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures, for exports whose comparison is not what is tested."""
    folder = tmp_path_factory.mktemp("small_sample")
    for name in ("crowd.jpg", "garden.jpg", "tiles.jpg"):
        shutil.copy(BUNDLED_FOLDER / name, folder)
    return folder


@pytest.fixture(scope="session")
def noop_model(server: EmbeddedServer) -> str:
    """Name of a served detector that finds nothing, at once."""
    return DEFAULT_NAME


@pytest.fixture(scope="session")
def serve_detector(
    repository: Path, load_model: Callable[[str], None], shared_data: Path, chain: JoiningChain, small_sample: Path
) -> Callable[[str], str]:
    """A function that exports one of `DETECTORS` into the session's server, the first time, and returns its name."""
    from sightline_export.exporter import export

    served: set[str] = set()

    def serve(name: str) -> str:
        source, precision = DETECTORS[name]
        if name not in served:
            options = ExportOptions(precision=precision, rect=name in RECTANGLES)
            export(
                shared_data / source,
                repository=repository,
                chain=chain,
                sample=small_sample,
                name=name,
                options=options,
            )
            load_model(name)
            served.add(name)
        return name

    return serve


@pytest.fixture(scope="session")
def calibration_photos(shared_data: Path) -> list[Path]:
    """The 16 photographs that `yolov8n_int8` is calibrated on, and must not be judged on."""
    return sorted((shared_data / "coco" / "images").glob("*.jpg"))[:32:2]


@pytest.fixture(scope="session")
def yolov8n_int8(
    shared_data: Path, chain: JoiningChain, calibration_photos: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """yolov8n.pt in int8, judged by the gate on 20 other photographs."""
    from sightline_export.exporter import export

    folders = tmp_path_factory.mktemp("calibration"), tmp_path_factory.mktemp("sample")
    photos = sorted((shared_data / "coco" / "images").glob("*.jpg"))
    for folder, chosen in zip(folders, (calibration_photos, photos[1:81:4]), strict=True):
        for photo in chosen:
            shutil.copy(photo, folder)
    return export(
        shared_data / "weights" / "yolov8n.pt",
        repository=tmp_path_factory.mktemp("int8"),
        chain=chain,
        calibration=folders[0],
        sample=folders[1],
        options=ExportOptions(precision="int8"),
    )
