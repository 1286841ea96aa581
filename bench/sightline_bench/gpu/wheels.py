"""Gathers packages for a machine with a GPU and no network, in pieces that can be carried, and installs them there.

Run as a program, by `bench/gpu_wheels.sh` and `bench/gpu.sh`; it needs nothing but Python's own library, and gathering
needs pip.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

_CONSTRAINTS = Path(__file__).resolve().parents[3] / "constraints.txt"
_LIST = "wheels.json"
_MIB = 2**20
_PIECE_MIB = 60
_PLATFORMS = ("manylinux_2_35", "manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_27")
_OLD_PLATFORMS = ("manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux2010", "manylinux1")
_DALI = (
    *("nvidia-dali-cuda120", "nvidia-nvimgcodec-cu12", "nvidia-libnvcomp-cu12", "nvidia-nvjpeg-cu12"),
    *("nvidia-nvjpeg2k-cu12", "nvidia-nvtiff-cu12", "astunparse", "gast", "six", "optree", "packaging", "nvtx"),
    *("makefun", "libcst", "pyyaml", "wheel"),
)
_ENGINE = ("onnxruntime-gpu", "flatbuffers", "protobuf", "numpy")
_CUDA = (
    *("nvidia-cublas", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft"),
    *("nvidia-curand", "nvidia-nvjitlink"),
)
_SERVER = ("nvidia-pytriton", "tritonclient", "grpcio", "python-rapidjson", "typing-extensions")
_REST = (
    *("click", "rich", "markdown-it-py", "mdurl", "pygments", "onnx", "ml-dtypes", "onnxscript", "onnx-ir"),
    "opencv-python-headless",
)
PACKAGES = (*_ENGINE, *_CUDA, *_DALI, *_SERVER, *_REST)
"""What `bench/gpu.sh` needs with `--material`, driver and Python apart."""


class WheelsError(Exception):
    """Something is missing; the message says what."""


def pinned(text: str, python_version: str) -> dict[str, str]:
    """Versions by name, of the lines of a constraints file that hold for Linux on x86-64 with that Python."""
    marker_type = _marker_type()
    environment = {
        "python_full_version": f"{python_version}.0",
        "python_version": python_version,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for line in text.splitlines():
        requirement, _, marker = line.partition(";")
        name, separator, version = requirement.strip().partition("==")
        if separator and (not marker or marker_type(marker).evaluate(environment)):
            found[name] = version
    return found


def _marker_type() -> Any:
    """The class that understands markers: of its own package, or of the copy in pip."""
    for name in ("packaging.markers", "pip._vendor.packaging.markers"):
        try:
            return importlib.import_module(name).Marker
        except ImportError:
            continue
    raise WheelsError("this Python has neither packaging nor pip: install one of them")


def wanted(names: Iterable[str], versions: Mapping[str, str], have: Iterable[str]) -> list[str]:
    """`NAME==VERSION` of those that the other machine lacks; without a version where none is pinned."""
    there = {_plain(name) for name in have}
    return [f"{name}=={versions[name]}" if name in versions else name for name in names if _plain(name) not in there]


def names_of(listing: str) -> list[str]:
    """Names of packages in what `pip list` or `pip freeze` printed."""
    words = (re.split(r"[\s=@,]+", line.strip(), maxsplit=1)[0] for line in listing.splitlines())
    return [word for word in words if word and word != "Package" and not word.startswith("-")]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def download(requirements: Sequence[str], folder: Path, python_version: str, program: str) -> None:
    """Wheels for that Python on Linux, x86-64, without what they need in turn.

    Raises:
        WheelsError: pip cannot get one.
    """
    platforms = [word for name in (*_PLATFORMS, *_OLD_PLATFORMS) for word in ("--platform", f"{name}_x86_64")]
    command = [program, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python_version, "--implementation", "cp", *platforms]
    for requirement in requirements:
        done = subprocess.run(
            [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise WheelsError(f"pip cannot get {requirement}: {done.stderr.strip()[-500:]}")


def cut(wheels: Path, target: Path, piece_bytes: int) -> list[Path]:
    """Cut wheels into pieces, and lay them into folders `part-00`, `part-01` … of at most that size each.

    Raises:
        WheelsError: there are folders of an earlier time.
    """
    if any(target.glob("part-*")):
        raise WheelsError(f"{target} holds parts already: name a new folder")
    listed: dict[str, dict[str, object]] = {}
    rooms: list[int] = []
    for wheel in sorted(wheels.glob("*.whl"), key=lambda file: -file.stat().st_size):
        names = []
        for number, piece in enumerate(_pieces(wheel, piece_bytes)):
            name = f"{wheel.name}.{number:03}"
            room = next((index for index, free in enumerate(rooms) if free >= len(piece)), len(rooms))
            if room == len(rooms):
                rooms.append(piece_bytes)
            rooms[room] -= len(piece)
            folder = target / f"part-{room:02}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(piece)
            names.append(name)
        listed[wheel.name] = {"sha256": _digest(wheel), "pieces": names}
    parts = sorted(target.glob("part-*"))
    for part in parts:
        (part / _LIST).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return parts


def join(carried: Path, target: Path) -> list[Path]:
    """The wheels that pieces in a folder, and below it, make; whole wheels that lie there are taken as they are.

    Raises:
        WheelsError: a piece is missing or damaged, or there is nothing.
    """
    found = {file.name: file for file in carried.rglob("*.whl*") if file.is_file()}
    lists = sorted(carried.rglob(_LIST))
    listed = json.loads(lists[0].read_text(encoding="utf-8")) if lists else {}
    made = [Path(shutil.copy(file, target)) for name, file in found.items() if name.endswith(".whl")]
    for name, entry in listed.items():
        if missing := [piece for piece in entry["pieces"] if piece not in found]:
            raise WheelsError(f"{carried} lacks {', '.join(missing)}: bring every part-* folder")
        wheel = target / name
        with wheel.open("wb") as out:
            for piece in entry["pieces"]:
                out.write(found[piece].read_bytes())
        if _digest(wheel) != entry["sha256"]:
            wheel.unlink()
            raise WheelsError(f"{name} came out damaged: bring its pieces again")
        made.append(wheel)
    if not made:
        raise WheelsError(f"{carried} holds no wheel and no piece of one")
    return made


def install(carried: Path) -> Path:
    """A folder with all the packages, made once, for whichever Python can import from it. It needs no pip.

    Raises:
        WheelsError: a piece is missing or damaged.
    """
    mark = hashlib.sha256("\n".join(sorted(map(str, carried.rglob("*.whl*")))).encode()).hexdigest()[:12]
    site = Path(tempfile.gettempdir()) / f"sightline-gpu-site-{mark}"
    if (site / _LIST).is_file():
        return site
    with tempfile.TemporaryDirectory() as folder:
        wheels = join(carried, Path(folder))
        shutil.rmtree(site, ignore_errors=True)
        for wheel in wheels:
            unpack(wheel, site)
    (site / _LIST).write_text("installed\n", encoding="utf-8")
    return site


def unpack(wheel: Path, site: Path) -> None:
    """A wheel's modules and libraries, without its scripts, which nobody here needs.

    Raises:
        WheelsError: it would write elsewhere.
    """
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = PurePosixPath(entry.filename).parts
            if parts[0].endswith(".data"):
                parts = parts[2:] if parts[1] in ("purelib", "platlib") else ()
            if entry.is_dir() or not parts:
                continue
            if ".." in parts or parts[0] == "/":
                raise WheelsError(f"{wheel.name} holds {entry.filename!r}, which lies outside of it")
            target = site.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
            if (entry.external_attr >> 16) & stat.S_IXUSR:
                target.chmod(0o755)


def _pieces(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(size):
            yield piece


def _digest(file: Path) -> str:
    total = hashlib.sha256()
    for piece in _pieces(file, _MIB):
        total.update(piece)
    return total.hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/gpu_wheels.sh",
        description="Gather what bench/gpu.sh needs where there is no network, in pieces that can be carried.",
        epilog="Over there: bench/gpu.sh --wheels FOLDER, with the part-* folders in it. Python there has to be of "
        "that version and have a shared libpython; the driver is that machine's own.",
    )
    parser.add_argument("folder", type=Path, help="a new folder, for folders part-00, part-01 …")
    parser.add_argument("packages", nargs="*", help="only these, instead of all that are needed")
    parser.add_argument("--python-version", default="3.12", help="of the other machine (3.12)")
    parser.add_argument("--have", type=Path, help="what `pip list` printed there: these are left out")
    parser.add_argument("--with", dest="besides", action="append", default=[], help="one more, such as tensorrt-cu13")
    parser.add_argument("--piece-mib", type=int, default=_PIECE_MIB, help=f"size of a part folder ({_PIECE_MIB})")
    parser.add_argument("--list", action="store_true", help="only say what would be gathered")
    parser.add_argument("--unpack", action="store_true", help="install what the folder holds, and print where")
    parser.add_argument("--python", default=sys.executable, help="the Python whose pip gathers")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.unpack:
            print(install(given.folder))
            return 0
        have = names_of(given.have.read_text(encoding="utf-8")) if given.have else []
        versions = pinned(_CONSTRAINTS.read_text(encoding="utf-8"), given.python_version)
        requirements = wanted([*(given.packages or PACKAGES), *given.besides], versions, have)
        if given.list:
            print("\n".join(requirements))
            return 0
        with tempfile.TemporaryDirectory() as folder:
            download(requirements, Path(folder), given.python_version, given.python)
            parts = cut(Path(folder), given.folder, given.piece_mib * _MIB)
    except (WheelsError, OSError) as error:
        print(f"gpu_wheels.sh: {error}", file=sys.stderr)
        return 1
    for part in parts:
        print(f"{part}: {sum(file.stat().st_size for file in part.iterdir()) / _MIB:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
