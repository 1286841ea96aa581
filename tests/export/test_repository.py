"""A detector is installed whole or not at all."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Timer

import pytest
from tests.export.tiny import TINY_SIZE, prediction, tiny_model

from sightline.contract import DEFAULT_MAX_PIXELS, MAX_PIXELS_PARAMETER, ONNX_FILE
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export import config
from sightline_export.exporter import default_name, export
from sightline_export.pixel_limit import LimitChange
from sightline_export.repository import install_detector
from sightline_export.transaction import FolderTransaction

INFO = DetectorInfo(class_names=("a", "b"), preprocessing=Preprocessing.letterbox(TINY_SIZE))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model_of(repository: Path, name: str) -> bytes:
    return (repository / f"{name}_net" / "1" / ONNX_FILE).read_bytes()


def test_three_models_with_all_their_files(tmp_path: Path) -> None:
    repository = tmp_path / "a" / "repository"
    installed = install_detector(repository, "traffic", b"graph", INFO)
    assert installed.preprocessing_written
    assert {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()} == {
        "letterbox_320/config.pbtxt",
        "letterbox_320/1/dali.py",
        "letterbox_320/warmup/warmup.jpg",
        "traffic_net/config.pbtxt",
        "traffic_net/1/model.onnx",
        "traffic_net/warmup/original_shape",
        "traffic/config.pbtxt",
        "traffic/1/.gitkeep",
    }
    assert installed.size_bytes == sum(len(content) for content in snapshot(repository).values())


def test_warm_up_files_are_what_the_configurations_say(tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"graph", INFO)
    letterbox = config.parse((tmp_path / "letterbox_320" / "config.pbtxt").read_text())
    jpeg = (tmp_path / "letterbox_320" / "warmup" / config.WARMUP_JPEG).read_bytes()
    assert jpeg[:3] == b"\xff\xd8\xff"
    assert [list(w.inputs["encoded"].dims) for w in letterbox.model_warmup] == [[len(jpeg)]]
    assert len((tmp_path / "traffic_net" / "warmup" / config.WARMUP_SHAPE).read_bytes()) == 3 * 8


def test_everybody_may_read(tmp_path: Path) -> None:
    script = (
        "import os; os.umask(0o077)\n"
        "from pathlib import Path; from sightline_export.repository import install_detector\n"
        "from sightline.detector_info import DetectorInfo\n"
        f"install_detector(Path({str(tmp_path)!r}), 'traffic', b'graph', DetectorInfo(class_names=('a',)))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_a_new_export_replaces_the_old_one_whole(tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"old", INFO)
    (tmp_path / "traffic_net" / "1" / "left.over").write_text("from before")
    install_detector(tmp_path, "traffic", b"new", INFO)
    assert model_of(tmp_path, "traffic") == b"new"
    assert not (tmp_path / "traffic_net" / "1" / "left.over").exists()


def test_an_equal_letterbox_is_not_touched(tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"graph", INFO)
    before = (tmp_path / "letterbox_320").stat().st_ino
    (tmp_path / "letterbox_320" / "1" / "__pycache__").mkdir()
    assert not install_detector(tmp_path, "other", b"graph", INFO).preprocessing_written
    assert (tmp_path / "letterbox_320").stat().st_ino == before


def test_a_different_letterbox_is_replaced(tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"graph", INFO)
    assert install_detector(tmp_path, "traffic", b"graph", INFO, max_pixels=1000).preprocessing_written
    read = config.parse((tmp_path / "letterbox_320" / "config.pbtxt").read_text())
    assert read.parameters["sightline.max_pixels"].string_value == "1000"


ROUNDS = 5
LARGE = bytes(8_000_000)
"""A graph that takes long enough to write for another export to look at the repository meanwhile."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
def test_two_exports_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    """Of one size, into a repository that has no preprocessing yet: the second one finds that of the first."""
    limits = {"a": 1000, "b": 2000}
    for number in range(ROUNDS):
        repository = tmp_path / str(number)
        together = Barrier(2)

        def install(name: str, *, repository: Path = repository, together: Barrier = together) -> LimitChange | None:
            together.wait(timeout=30)
            return install_detector(repository, name, LARGE, INFO, max_pixels=limits[name]).limit_change

        with ThreadPoolExecutor(2) as workers:
            (change,) = filter(None, workers.map(install, limits))
        (first,) = change.others
        (second,) = set(limits) - {first}
        assert (change.before, change.now) == (limits[first], limits[second])
        assert limit_of(repository) == str(limits[second])
        assert {path.name for path in repository.iterdir()} == {"letterbox_320", "a", "a_net", "b", "b_net"}
        shutil.rmtree(repository)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
def test_an_export_waits_for_the_one_of_another_process(tmp_path: Path) -> None:
    """Which ends while it waits; what it wrote is then seen."""
    script = (
        "import sys; from pathlib import Path; from sightline_export.repository_lock import locked\n"
        f"with locked(Path({str(tmp_path)!r})):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
        f"    Path({str(tmp_path)!r}, 'traffic').write_text('mine')"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "locked\n"
        Timer(0.5, other.stdin.close).start()
        with pytest.raises(ExportError, match="traffic was not written by `sightline export`"):
            install_detector(tmp_path, "traffic", b"graph", INFO)
    assert [path.name for path in tmp_path.iterdir()] == ["traffic"]


def limit_of(repository: Path) -> str:
    read = config.parse((repository / "letterbox_320" / "config.pbtxt").read_text())
    limit: str = read.parameters[MAX_PIXELS_PARAMETER].string_value
    return limit


def test_the_limit_on_pixels_stays_unless_another_is_asked_for(tmp_path: Path) -> None:
    install_detector(tmp_path, "a", b"graph", INFO, max_pixels=1_000_000)
    for limit in (None, 1_000_000):
        installed = install_detector(tmp_path, "b", b"graph", INFO, max_pixels=limit)
        assert (installed.preprocessing_written, installed.limit_change) == (False, None)
        assert limit_of(tmp_path) == "1000000"


def test_another_limit_on_pixels_is_told_with_all_whom_it_concerns(tmp_path: Path) -> None:
    assert install_detector(tmp_path, "c", b"graph", INFO, max_pixels=10).limit_change is None
    install_detector(tmp_path, "a", b"graph", INFO)
    install_detector(
        tmp_path,
        "of_other_size",
        b"graph",
        DetectorInfo(class_names=("a",), preprocessing=Preprocessing.letterbox(640)),
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.pbtxt").write_text("{")
    change = install_detector(tmp_path, "b", b"graph", INFO, max_pixels=20).limit_change
    assert change == LimitChange(model="letterbox_320", before=10, now=20, others=("a", "c"))
    assert str(change) == "letterbox_320 decodes pictures of up to 20 pixels now, 10 before; this holds for a, c too"


@pytest.mark.parametrize("limit", ["many", "0", "-5", ""])
def test_a_limit_that_cannot_be_read_is_not_guessed(limit: str, tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"graph", INFO)
    file = tmp_path / "letterbox_320" / "config.pbtxt"
    file.write_text(file.read_text().replace(f'"{DEFAULT_MAX_PIXELS}"', f'"{limit}"'))
    before = snapshot(tmp_path)
    with pytest.raises(ExportError, match=r"states sightline\.max_pixels .* correct it there"):
        install_detector(tmp_path, "traffic", b"graph", INFO)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("conflict", ["traffic", "traffic_net", "letterbox_320"])
@pytest.mark.parametrize("kind", ["file", "folder", "foreign model"])
def test_what_others_put_there_stays(conflict: str, kind: str, tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"old", INFO)
    shutil.rmtree(tmp_path / conflict)
    if kind == "file":
        (tmp_path / conflict).write_text("mine")
    else:
        (tmp_path / conflict).mkdir()
    if kind == "foreign model":
        (tmp_path / conflict / "config.pbtxt").write_text('name: "mine" backend: "python"')
    before = snapshot(tmp_path)
    with pytest.raises(ExportError, match=f"{conflict} was not written by `sightline export`"):
        install_detector(tmp_path, "traffic", b"new", INFO, max_pixels=5)
    assert snapshot(tmp_path) == before


def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write of the network fails half-way."""
    install_detector(tmp_path, "traffic", b"old", INFO)
    before = snapshot(tmp_path)
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from pathlib import Path; from sightline_export.repository import install_detector\n"
        "from sightline.detector_info import DetectorInfo; from sightline.errors import ExportError\n"
        "from sightline.preprocessing import Preprocessing\n"
        "info = DetectorInfo(class_names=('a', 'b'), preprocessing=Preprocessing.letterbox(320))\n"
        "try:\n"
        f"    install_detector(Path({str(tmp_path)!r}), 'traffic', bytes(300_000), info, max_pixels=5)\n"
        "except ExportError as error:\n"
        "    print(error)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "cannot write into the model repository" in done.stdout
    assert "File too large" in done.stdout
    assert snapshot(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("where", ["/proc/sightline", "file/below"])
def test_a_folder_that_cannot_be_made(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ExportError, match=r"cannot write into the model repository.*Choose another"):
        install_detector(tmp_path / where, "traffic", b"graph", INFO)


def replace_but_lose(missing: str, parent: Path) -> None:
    """Replace three folders, of which one vanishes before it is moved."""
    with FolderTransaction(parent) as transaction:
        staged = {name: transaction.new(name) for name in ("first", "second", "third")}
        for folder in staged.values():
            (folder / "new").write_text("new")
        shutil.rmtree(staged[missing])


@pytest.mark.parametrize("missing", ["first", "second", "third"])
def test_moves_are_undone_when_a_later_one_fails(missing: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text(name)
    before = snapshot(tmp_path)
    with pytest.raises(FileNotFoundError):
        replace_but_lose(missing, tmp_path)
    assert snapshot(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


CLEAN_UP_FAILS = """
import os, sys
from pathlib import Path
from sightline.errors import ExportError
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export.repository import install_detector

repository, info = Path(), DetectorInfo(class_names=("a", "b"), preprocessing=Preprocessing.letterbox(320))
install_detector(repository, "traffic", b"old", info)
locked = repository / "traffic_net" / "1" / "__pycache__"
locked.mkdir()
(locked / "model.pyc").touch()
locked.chmod(0o555)
if os.geteuid() == 0:
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
install_detector(repository, "traffic", b"new", info)
"""
"""Nobody but root can delete a file in a folder that its owner must not write; so this does not run as root."""


def test_a_clean_up_that_fails_is_no_failed_export(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLEAN_UP_FAILS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert model_of(tmp_path, "traffic") == b"new"
    (left,) = (path.name for path in tmp_path.iterdir() if path.name.startswith("."))
    assert f"{left} is left over and can be deleted by hand: " in done.stderr
    (tmp_path / left / "previous" / "traffic_net" / "1" / "__pycache__").chmod(0o755)


def interrupt(parent: Path) -> None:
    with FolderTransaction(parent) as transaction:
        (transaction.new("first") / "new").write_text("new")
        raise KeyboardInterrupt


def test_a_failed_block_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_the_old_one(tmp_path: Path, tiny_onnx: Path) -> None:
    repository = tmp_path / "repository"
    export(tiny_onnx, repository=repository, chain=None)
    before = snapshot(repository)
    logits = prediction("anchors_last", classes=3, candidates=50)
    logits[4:] *= 5
    tiny_onnx.write_bytes(tiny_model(logits).SerializeToString())
    with pytest.raises(ExportError):
        export(tiny_onnx, repository=repository, chain=None)
    assert snapshot(repository) == before


@pytest.mark.parametrize("name", ["with-hyphen", "a b", "1st", "", "x_net", "letterbox_9", "../up", "é"])
def test_names_that_are_not_allowed(name: str, tmp_path: Path, tiny_onnx: Path) -> None:
    with pytest.raises(InvalidOptionError, match="takes it with --name"):
        export(tiny_onnx, repository=tmp_path / "repository", chain=None, name=name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("yolov8n.pt", "yolov8n"),
        ("my best-model (2).pt", "my_best_model_2"),
        ("8cls.onnx", "model_8cls"),
        ("traffic_net.onnx", "traffic"),
        ("letterbox_640.pt", "model_letterbox_640"),
        ("ärger.pt", "rger"),
        ("日本.pt", "model"),
        ("v1.2_final.pt", "v1.2_final"),
    ],
)
def test_default_names(file: str, name: str) -> None:
    assert default_name(Path("somewhere") / file) == name
