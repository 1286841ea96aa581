"""`sightline doctor` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

from click.testing import CliRunner

from sightline.cli import cli

HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "nvidia.dali",
    "cv2",
    "supervision",
    "tritonclient",
    "grpc",
)


def test_the_table_and_what_works() -> None:
    shown = CliRunner().invoke(cli, ["doctor"], terminal_width=80)
    assert shown.exit_code == 0, shown.output
    table, works = shown.output.split("What will work here")
    assert "Python" in table
    assert "port 8001 (gRPC)" in table
    assert "yes client" in works
    for way in ("embedded server", "export", "Docker with GPU"):
        assert way in works


def test_json() -> None:
    shown = CliRunner().invoke(cli, ["doctor", "--json"])
    assert shown.exit_code == 0
    found = json.loads(shown.output)
    assert {"name", "status", "detail", "advice"} == set(found["checks"][0])
    assert {"client": True}.items() <= {way["name"]: way["works"] for way in found["ways"]}.items()


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom sightline.cli import cli\n"
        "assert CliRunner().invoke(cli, ['doctor', '--json']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
