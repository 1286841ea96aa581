"""Schedules of models: written, read back, and kept by an export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.export.lint_repository import INFO, change_config, write_good_repository
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.errors import InvalidOptionError
from sightline_export import config
from sightline_export.lint import lint
from sightline_export.repository import install_detector
from sightline_export.schedule import (
    NETWORK_SCHEDULE,
    PREPROCESSING_SCHEDULE,
    Schedule,
    kept_schedule,
    read_schedule,
    set_schedule,
)
from sightline_export.tuned import described

OTHERS = (
    Schedule(instances=3),
    Schedule(instances=1, threads=7),
    replace(NETWORK_SCHEDULE, max_queue_delay_microseconds=0),
    replace(NETWORK_SCHEDULE, preferred_batch_sizes=(4, 8)),
    Schedule(instances=64, threads=1024, max_queue_delay_microseconds=1_000_000, preferred_batch_sizes=(1, 16)),
)


def network(schedule: Schedule = NETWORK_SCHEDULE) -> pb.ModelConfig:
    return config.network_config(detector="traffic", info=INFO, schedule=schedule)


def letterbox(schedule: Schedule) -> pb.ModelConfig:
    return config.preprocessing_config(INFO.preprocessing, max_pixels=9, warmup_jpeg_bytes=9, schedule=schedule)


@pytest.mark.parametrize("schedule", [NETWORK_SCHEDULE, PREPROCESSING_SCHEDULE, *OTHERS], ids=str)
def test_what_is_written_reads_back(schedule: Schedule) -> None:
    for written in (network(schedule), letterbox(schedule)):
        again = config.parse(config.render(written))
        assert again == written
        assert read_schedule(again) == kept_schedule(again) == schedule
        assert again.dynamic_batching.HasField("default_queue_policy")


def test_the_usual_schedule_says_nothing_of_itself() -> None:
    assert not {contract.THREADS_PARAMETER, contract.TUNED_PARAMETER} & set(network().parameters)


@pytest.mark.parametrize("schedule", OTHERS, ids=str)
def test_a_schedule_is_taken_back_without_a_trace(schedule: Schedule) -> None:
    changed = network(schedule)
    assert changed != network()
    set_schedule(changed, NETWORK_SCHEDULE)
    assert config.render(changed) == config.render(network())


def test_only_what_was_tuned_is_kept() -> None:
    by_hand = network(replace(NETWORK_SCHEDULE, max_queue_delay_microseconds=9))
    by_hand.instance_group[0].count = 5
    assert read_schedule(by_hand).instances == 5
    assert kept_schedule(by_hand) == replace(NETWORK_SCHEDULE, max_queue_delay_microseconds=9)
    del by_hand.parameters[contract.TUNED_PARAMETER]
    assert kept_schedule(by_hand) == NETWORK_SCHEDULE


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("instances", 0, "instances is 0; it must lie from 1 to 64"),
        ("threads", 0, "threads is 0; it must lie from 1 to 1024"),
        ("max_queue_delay_microseconds", -1, "it must lie from 0 to 1000000"),
        ("preferred_batch_sizes", (8, 4), "give rising numbers from 1 on"),
        ("preferred_batch_sizes", (0,), "give rising numbers from 1 on"),
    ],
)
def test_what_cannot_be_is_refused(field: str, value: object, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        replace(NETWORK_SCHEDULE, **{field: value})  # type: ignore[arg-type]


def test_a_setting_that_is_none_is_named() -> None:
    written = network()
    written.parameters[contract.TUNED_PARAMETER].string_value = "instances,speed"
    with pytest.raises(InvalidOptionError, match="names speed; settings are instances, threads"):
        kept_schedule(written)


def test_an_export_keeps_what_was_tuned_and_says_so(tmp_path: Path) -> None:
    install_detector(tmp_path, "traffic", b"old", INFO)
    tuned = {
        "letterbox_640": Schedule(instances=1, threads=1),
        "traffic_net": replace(NETWORK_SCHEDULE, instances=1, preferred_batch_sizes=(8,)),
    }
    for model, schedule in tuned.items():
        file = tmp_path / model / config.CONFIG_FILE
        changed = config.parse(file.read_text())
        set_schedule(changed, schedule)
        file.write_text(config.render(changed))
    for name in ("traffic", "another"):
        installed = install_detector(tmp_path, name, b"new", INFO)
        assert not installed.preprocessing_written
        assert installed.kept_settings["letterbox_640"] == "threads 1"
    for model, schedule in tuned.items():
        assert read_schedule(config.parse((tmp_path / model / config.CONFIG_FILE).read_text())) == schedule
    assert described("traffic_net", tuned["traffic_net"]) == "instances 1, preferred batches 8"
    assert install_detector(tmp_path, "traffic", b"new", INFO).kept_settings.keys() == set(tuned)
    fresh = read_schedule(config.parse((tmp_path / "another_net" / config.CONFIG_FILE).read_text()))
    assert fresh == NETWORK_SCHEDULE


def test_the_lint_has_nothing_against_it(tmp_path: Path) -> None:
    write_good_repository(tmp_path)
    (network_folder,) = tmp_path.glob("*_net")
    change_config(network_folder, lambda changed: set_schedule(changed, OTHERS[-1]))
    assert lint(tmp_path) == []
