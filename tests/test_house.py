"""Who may import whom, and what importing the library costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = {
    "sightline": CHECKOUT / "client" / "sightline",
    "sightline_export": CHECKOUT / "export" / "sightline_export",
    "sightline_server": CHECKOUT / "server" / "sightline_server",
    "sightline_bench": CHECKOUT / "bench" / "sightline_bench",
}
FOUNDATION = {
    "sightline.errors",
    "sightline.contract",
    "sightline.boxes",
    "sightline.cores",
    "sightline.headers",
    "sightline._header_fields",
    "sightline.detections",
    "sightline.detector_info",
    "sightline.groups",
    "sightline.parity",
    "sightline.parity.bars",
    "sightline.parity.matching",
    "sightline.parity.report",
    "sightline.verification",
    "sightline.preprocessing",
    "sightline.precision_recall",
}
HEAVY = {"torch", "torchvision", "ultralytics", "onnx", "onnxruntime", "openvino", "nvidia", "cv2", "supervision"}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in ROOMS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def imports_of(path: Path) -> Iterator[str]:
    """Our own modules that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield from (part for part in (name, name.rpartition(".")[0]) if part in MODULES and part not in ROOMS)


def allowed(importer: str, imported: str) -> bool:
    room = importer.partition(".")[0]
    if importer in FOUNDATION:
        return imported in FOUNDATION
    if _is_command(importer) or room == "sightline_bench":
        return True
    if _is_command(imported):
        return False
    return imported.partition(".")[0] == room or imported in FOUNDATION


def _is_command(module: str) -> bool:
    return f"{module}.".startswith("sightline.cli.")


@pytest.mark.parametrize("importer", sorted(MODULES))
def test_imports_keep_to_the_house_rules(importer: str) -> None:
    broken = [imported for imported in imports_of(MODULES[importer]) if not allowed(importer, imported)]
    assert not broken, f"{importer} must not import {broken}"


def test_no_circles() -> None:
    arrows = {name: {i for i in imports_of(path) if i != name} for name, path in MODULES.items()}
    # A package's __init__ may re-export its own modules.
    arrows = {name: {i for i in seen if not name.startswith(i + ".")} for name, seen in arrows.items()}
    while free := {name for name, seen in arrows.items() if not seen & arrows.keys()}:
        arrows = {name: seen for name, seen in arrows.items() if name not in free}
    assert not arrows, f"modules that import each other: {sorted(arrows)}"


def test_the_model_repository_never_imports_us() -> None:
    files = [*(CHECKOUT / "model_repository").rglob("*.py"), *(ROOMS["sightline_export"] / "letterbox").glob("dali.py")]
    assert files
    assert not [path for path in files if "sightline" in {name.partition(".")[0] for name in _top_level(path)}]


def _top_level(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    "statement", ["import sightline", "import sightline.client, sightline.aio", "import sightline.cli"]
)
def test_the_library_is_light(statement: str) -> None:
    script = f"import sys; {statement}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & (HEAVY | {"sightline_export", "sightline_server", "sightline_bench"})


def test_every_command_has_a_module() -> None:
    from sightline.cli import COMMANDS

    folder = ROOMS["sightline"] / "cli"
    assert {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} == set(COMMANDS)
