"""The tables that an operator writes: tokens and classes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.deploy.proxy_process import SOURCE

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nothing", r"line 3: it must be NAME:TOKEN or NAME:TOKEN:CLASS"),
        ("a:b:c:d", r"line 3: it must be NAME:TOKEN"),
        ("bad name:SECRET", r"line 3: a name is up to 64 letters"),
        ("eve:SECRET and more", r"line 3: the token holds other characters"),
        ('eve:SECRET"; evil', r"line 3: the token holds other characters"),
        ("eve:short", r"line 3: the token is shorter than 32 characters"),
        ("SECRET:eve", r"line 3: the token is shorter than 32 characters"),
        ("include:SECRET", r"line 3: nobody can be named include"),
        ("Alice:SECRET", r"line 3: Alice and alice differ in case only"),
        ("eve:SECRET:nobody", r"line 3: the class of eve is not in the table"),
        ("alice:SECRET:admin", r"line 3: alice has two classes"),
    ],
)
def test_tokens_with_a_mistake(tmp_path: Path, line: str, complaint: str) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    listed = tmp_path / "tokens"
    listed.write_text(f"alice:{'a' * 32}\nbob:{'b' * 32}:trusted\n{line.replace('SECRET', secret)}\n")
    rendered = run_awk("tokens.awk", SOURCE / "classes", listed)
    assert rendered.returncode == 1
    assert re.search(complaint, rendered.stderr)
    assert secret not in rendered.stderr


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("standard 50 64 64m 0", "line 1: a class has six columns"),
        ("Fast 50 64 64m 0 no", "line 1: the name of a class is lower-case letters and digits"),
        ("unknown 50 64 64m 0 no", "line 1: a class cannot be named unknown"),
        ("standard 0 64 64m 0 no", "line 1: requests/s and at once must be whole numbers of at least 1"),
        ("standard 50 64 64t 0 no", "line 1: body must be a size such as 64m"),
        ("standard 50 64 64m -1 no", "line 1: streams must be a whole number"),
        ("standard 50 64 64m 0 maybe", "line 1: admin must be yes or no"),
        ("fast 50 64 64m 0 no", "lacks the class `standard`"),
    ],
)
def test_classes_with_a_mistake(tmp_path: Path, line: str, complaint: str) -> None:
    table = tmp_path / "classes"
    table.write_text(f"{line}\n")
    rendered = run_awk("classes.awk", table)
    assert rendered.returncode == 1
    assert complaint in rendered.stderr
    assert rendered.stdout == ""


def run_awk(script: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = ["awk", "-f", str(SOURCE / script), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
