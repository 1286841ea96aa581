"""The demo detector's training: assignment, loss, batches, and that a few steps learn something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline_export.demo.batches import Batches, Schedule
from sightline_export.demo.loss import BACKGROUND, assign, detection_loss
from sightline_export.demo.network import DemoDetector, places
from sightline_export.demo.objects import CLASS_NAMES
from sightline_export.demo.samples import Labelled, labelled_picture
from sightline_export.demo.train import Run, main, rate, train, train_step

SMALL = Schedule(steps=6, batch=2, sides=(96, 128))


@pytest.fixture(scope="module")
def pictures() -> list[Labelled]:
    return [labelled_picture(index, seed=9) for index in range(4)]


def owners(wanted: list[list[float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Who answers for whom among the places of a 128-pixel picture, with their centres and strides."""
    centres, strides = places((128, 128))
    return assign(centres, strides, torch.tensor(wanted).reshape(-1, 4)), centres, strides


def test_without_objects_everything_is_background() -> None:
    owner, centres, _ = owners([])
    assert owner.shape == (len(centres),)
    assert (owner == BACKGROUND).all()


def test_places_near_the_middle_of_an_object_answer_for_it() -> None:
    wanted = [[4.0, 4.0, 36.0, 36.0], [40.0, 41.0, 83.0, 73.0]]
    owner, centres, strides = owners(wanted)
    for index, (left, top, right, bottom) in enumerate(wanted):
        own, reach = centres[owner == index], 1.5 * strides[owner == index]
        assert len(own) >= 4
        middle = torch.tensor([(left + right) / 2, (top + bottom) / 2])
        assert ((own - middle).abs() < reach).all()
        assert ((own > torch.tensor([left, top])) & (own < torch.tensor([right, bottom]))).all()


@pytest.mark.parametrize(("side", "stride"), [(12.0, {8.0}), (60.0, {8.0, 16.0}), (120.0, {16.0, 32.0})])
def test_the_scale_follows_the_size(side: float, stride: set[float]) -> None:
    owner, _, strides = owners([[4.0, 4.0, 4.0 + side, 4.0 + side]])
    assert set(strides[owner == 0].flatten().tolist()) == stride


def test_a_disputed_place_goes_to_the_smaller_object() -> None:
    owner, centres, _ = owners([[0.0, 0.0, 56.0, 56.0], [20.0, 20.0, 36.0, 36.0]])
    place = int(((centres - 28) ** 2).sum(1).argmin())
    assert owner[place] == 1


def test_a_tiny_object_finds_a_place() -> None:
    owner, _, _ = owners([[7.0, 7.0, 9.0, 9.0]])
    assert (owner == 0).sum() == 1


def test_the_loss_of_pictures_without_objects_is_finite_and_trains() -> None:
    network = DemoDetector(3)
    nothing = [torch.zeros(0, 4)] * 2
    loss = detection_loss(network.raw(torch.rand(2, 3, 64, 64)), nothing, [torch.zeros(0, dtype=torch.int64)] * 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters() if weight.grad is not None)


def test_batches_are_a_function_of_seed_and_step(pictures: list[Labelled]) -> None:
    one, two, other = (Batches(pictures, SMALL, seed)[3] for seed in (1, 1, 2))
    assert torch.equal(one.images, two.images)
    assert all(torch.equal(a, b) for a, b in zip(one.boxes_xyxy, two.boxes_xyxy, strict=True))
    assert one.images.shape != other.images.shape or not torch.equal(one.images, other.images)


def test_batches_follow_the_schedule(pictures: list[Labelled]) -> None:
    shapes = [tuple(Batches(pictures, SMALL, 1)[step].images.shape) for step in range(SMALL.steps)]
    assert {shape[0] for shape in shapes} == {2}
    assert {shape[2] for shape in shapes} == {96, 128}


def test_boxes_of_batches_lie_in_the_picture(pictures: list[Labelled]) -> None:
    for step in range(SMALL.steps):
        batch = Batches(pictures, SMALL, 1)[step]
        for boxes, ids in zip(batch.boxes_xyxy, batch.class_ids, strict=True):
            assert len(boxes) == len(ids)
            assert ((boxes >= 0) & (boxes <= batch.images.shape[2])).all()
            assert (boxes[:, 2:] - boxes[:, :2] >= 5).all()


def test_a_schedule_refuses_sides_that_the_strides_do_not_divide() -> None:
    with pytest.raises(ValueError, match=r"\[100\] are not multiples of 32"):
        Schedule(sides=(96, 100))


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 400) for step in range(400)]
    assert rates[0] < 0.05
    assert max(rates) == pytest.approx(0.98, abs=0.02)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)


def test_learning_one_batch_by_heart_lowers_the_loss(pictures: list[Labelled]) -> None:
    torch.manual_seed(0)
    network = DemoDetector(len(CLASS_NAMES), widths=(24, 32, 48), channels=24)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batch = Batches(pictures, SMALL, 1)[0]
    losses = [train_step(network, optimiser, batch) for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_training_is_repeatable_and_reports(pictures: list[Labelled]) -> None:
    lines: list[str] = []
    one, two = (train(pictures, SMALL, seed=3, say=lines.append) for _ in range(2))
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-4), name
    assert lines[0].startswith("step 6/6  loss ")
    assert not one.training


def test_a_stopped_run_goes_on_where_it_was(pictures: list[Labelled], tmp_path: Path) -> None:
    batches, stopped = Batches(pictures, SMALL, 3), Run(3)
    for step in range(5):
        train_step(stopped.network, stopped.optimiser, batches[step])
        stopped.average.update_parameters(stopped.network)
    stopped.step = 5
    stopped.save(tmp_path / "checkpoint.pt")
    lines: list[str] = []
    finished = train(pictures, SMALL, seed=3, checkpoint=tmp_path / "checkpoint.pt", say=lines.append)
    assert [line.partition("  ")[0] for line in lines] == ["step 6/6"]
    taken_up = Run(8)
    taken_up.load(tmp_path / "checkpoint.pt")
    before, after = taken_up.result().state_dict(), finished.state_dict()
    assert taken_up.step == 5
    assert all(torch.equal(value, stopped.average.module.state_dict()[name]) for name, value in before.items())
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--output", "--steps", "--seed", "--pictures"))
