"""The way back to an older plan."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tests.export.fake_tensorrt import write_tiny_detector
from tests.export.tensorrt_workshop import Workshop

from sightline.cli import cli
from sightline.errors import InvalidOptionError
from sightline_export.groups import install_group
from sightline_export.tensorrt.plans import outdated, roll_back


def test_rollback_serves_the_version_before_with_all_that_belongs_to_it(workshop: Workshop) -> None:
    workshop.build_one()
    write_tiny_detector(workshop.models, "tiny", seed=1, max_detections=30)
    workshop.build_one()
    assert "dims: 30" in (workshop.plans / "tiny" / "config.pbtxt").read_text()
    assert roll_back(workshop.plans, "tiny").version == 1
    assert workshop.versions == {1: True, 2: False}
    assert "dims: 40" in (workshop.plans / "tiny" / "config.pbtxt").read_text()
    workshop.check_whole()
    assert outdated(workshop.plans, workshop.models)


def test_groups_follow_the_version_that_is_served(workshop: Workshop) -> None:
    write_tiny_detector(workshop.models, "other")
    workshop.build()
    config = install_group(workshop.plans, "both", ["tiny", "other"]).folder / "config.pbtxt"
    before = config.read_text()
    workshop.check_whole()
    write_tiny_detector(workshop.models, "tiny", seed=1, max_detections=30)
    workshop.build()
    assert before.count("dims: 30") < config.read_text().count("dims: 30")
    workshop.check_whole()
    roll_back(workshop.plans, "tiny")
    assert config.read_text() == before
    workshop.check_whole()


def test_the_command_has_groups_loaded_behind_their_members(workshop: Workshop) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, ["tensorrt", *words, "--plans", str(workshop.plans)])
        assert done.exit_code == 0, done.output
        return done.output

    write_tiny_detector(workshop.models, "other")
    workshop.build()
    build = ("build", "tiny", "--repository", str(workshop.models), "--cache", str(workshop.cache), "--force")
    assert "/both/load" not in run(*build, "--precision", "fp32")
    install_group(workshop.plans, "both", ["tiny", "other"])
    for words in ((*build, "--precision", "fp32"), ("rollback", "tiny")):
        printed = run(*words)
        models = [line.rpartition("/models/")[2] for line in printed.splitlines() if line.endswith("/load")]
        assert models == ["tiny/load", "tiny_net/load", "both/load"]
        assert "both cannot answer until loaded" in printed


def test_a_rollback_lasts_until_there_is_something_new_to_build(workshop: Workshop) -> None:
    workshop.build_one()
    write_tiny_detector(workshop.models, "tiny", seed=1)
    workshop.build_one()
    roll_back(workshop.plans, "tiny")
    outcome = workshop.build_one()
    assert (outcome.state, outcome.version) == ("rolled back", 1)
    assert "--force" in outcome.reason
    assert workshop.versions == {1: True, 2: False}
    write_tiny_detector(workshop.models, "tiny", seed=2)
    assert workshop.build_one().version == 3
    assert workshop.versions == {1: False, 2: False, 3: True}


def test_rollback_forward_again(workshop: Workshop) -> None:
    for seed in range(3):
        write_tiny_detector(workshop.models, "tiny", seed=seed)
        workshop.build_one()
    roll_back(workshop.plans, "tiny")
    roll_back(workshop.plans, "tiny")
    assert workshop.versions == {1: True, 2: False, 3: False}
    roll_back(workshop.plans, "tiny", to=3)
    assert workshop.build_one().state == "up to date"
    assert workshop.versions == {1: False, 2: False, 3: True}


def test_rollback_needs_somewhere_to_go(workshop: Workshop) -> None:
    workshop.build_one()
    with pytest.raises(InvalidOptionError, match="tiny has no older version: it has 1, and serves 1"):
        roll_back(workshop.plans, "tiny")
    with pytest.raises(InvalidOptionError, match="tiny has no version 7"):
        roll_back(workshop.plans, "tiny", to=7)
    with pytest.raises(InvalidOptionError, match="has no plan of 'zebra'; it has tiny"):
        roll_back(workshop.plans, "zebra")
    assert workshop.versions == {1: True}
