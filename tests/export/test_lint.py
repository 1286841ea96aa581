"""The linter finds nothing in a good repository, and each fault by its own rule."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from tests.conftest import CHECKOUT, skip_or_fail
from tests.export.lint_faults import (
    CONFIG,
    FAULTS,
    NETWORK,
    Fault,
    link_to,
    network_as_plan,
    reserved_letterbox,
)
from tests.export.lint_repository import (
    INFO,
    change_config,
    network_graph,
    save,
    write_config,
    write_good_repository,
)
from tritonclient.grpc import model_config_pb2 as pb

from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.lint import Finding, lint
from sightline_export.lint.runner import EMPTY_REPOSITORY, RULES


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good_repository(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "repository")


def test_a_good_repository_has_no_findings(repository: Path) -> None:
    assert lint(repository) == []


def test_two_detectors_of_different_size_have_no_findings(repository: Path) -> None:
    write_good_repository(
        repository, detector="small", info=replace(INFO, preprocessing=Preprocessing.letterbox(320), max_detections=100)
    )
    assert lint(repository) == []


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX")
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_each_fault_is_found_by_its_own_rule(repository: Path, fault: Fault) -> None:
    fault.damage(repository)
    found = lint(repository)
    assert {finding.rule for finding in found} == {fault.rule}, found
    assert found[0].severity == fault.severity
    assert found[0].where.startswith(fault.where)
    assert (repository / found[0].path.parent).is_dir()
    assert found[0].message
    assert found[0].fix


def test_every_rule_is_broken_by_a_test() -> None:
    elsewhere = {"onnx-unchecked"}
    assert {fault.rule for fault in FAULTS} | elsewhere == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_lines_point_at_the_fault(repository: Path) -> None:
    change_config(repository / NETWORK, lambda c: setattr(c.instance_group[0], "kind", pb.ModelInstanceGroup.KIND_CPU))
    (finding,) = lint(repository)
    lines = (repository / finding.path).read_text().splitlines()
    assert finding.line is not None
    assert "kind: KIND_CPU" in lines[finding.line - 1]


def test_a_syntax_error_names_line_and_column(repository: Path) -> None:
    (repository / NETWORK / CONFIG).write_text('name: "tiny_net"\nmax_batch: 3\n')
    (finding,) = lint(repository)
    assert finding.line == 2
    assert "2:1" in finding.message


def test_letterbox_names_must_end_in_an_allowed_size(repository: Path) -> None:
    reserved_letterbox(repository)
    assert {finding.rule for finding in lint(repository)} >= {"model-name"}


def test_a_python_part_is_refused_and_a_foreign_python_model_is_not(repository: Path) -> None:
    rendered = pb.ModelConfig(name="tracker", backend="python", max_batch_size=0)
    write_config(repository / "tracker", rendered)
    save(repository / "tracker" / "1" / "model.py", b"")
    found = {finding.rule: finding.severity for finding in lint(repository)}
    assert found["backend"] == "warning"


def test_what_a_killed_export_left_is_to_be_moved_back(repository: Path) -> None:
    staging = repository / ".sightline-123-0a1b2c3d"
    (staging / "previous").mkdir(parents=True)
    (repository / NETWORK).rename(staging / "previous" / NETWORK)
    found = {finding.model: finding for finding in lint(repository)}
    assert "previous/" in found[staging.name].fix


def test_a_lfs_pointer_is_called_what_it_is(repository: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    save(repository / NETWORK / "1" / "model.onnx", pointer)
    assert "git lfs pull" in {finding.fix.removeprefix("run: ") for finding in lint(repository)}


def test_a_plan_without_header_is_good(repository: Path) -> None:
    network_as_plan(b"")(repository)
    assert lint(repository) == []


def test_external_weights_beside_the_graph_are_good(repository: Path) -> None:
    path = repository / NETWORK / "1" / "model.onnx"
    onnx.save(network_graph(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").chmod(0o644)  # onnx writes it for its owner alone, which the linter would report
    assert lint(repository) == []


def test_a_link_to_nothing_is_an_error(repository: Path) -> None:
    link_to("elsewhere.onnx")(repository)
    assert ("link-outside", "error") in {(finding.rule, finding.severity) for finding in lint(repository)}


def test_an_empty_repository_says_how_to_fill_it(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path)
    assert finding.rule == EMPTY_REPOSITORY
    assert "sightline export" in finding.fix


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="is not a folder"):
        lint(tmp_path / "absent")


def test_without_onnx_the_rest_is_checked_and_a_note_says_so(repository: Path) -> None:
    script = (
        "import sys; sys.modules['onnx'] = None\n"
        "from pathlib import Path; from sightline_export.lint import lint\n"
        f"print([(f.rule, f.severity) for f in lint(Path({str(repository)!r}))])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(shown) == [("onnx-unchecked", "note")]


def test_nothing_is_written_or_executed(repository: Path) -> None:
    save(repository / "evil" / CONFIG, b'name: "evil"\nbackend: "dali"\ndefault_model_filename: "dali.py"\n')
    trap = repository.parent / "executed"
    save(repository / "evil" / "1" / "dali.py", f"open({str(trap)!r}, 'w')\n".encode())
    before = sorted(repository.rglob("*"))
    lint(repository)
    assert sorted(repository.rglob("*")) == before
    assert not trap.exists()


def test_the_committed_repository_is_good() -> None:
    folder = CHECKOUT / "model_repository"
    if not (folder / "demo").is_dir():
        skip_or_fail("the demo detector is not in this checkout")
    ours = {"demo", "demo_net", "letterbox_640"}
    found: list[Finding] = [finding for finding in lint(folder) if finding.model in ours]
    assert found == []
